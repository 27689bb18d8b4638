package vpcsim

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Page sizes of the VPC API ("limit", SDK comments and IBM's pagination page).
const (
	defaultPageLimit = 50
	maxPageLimit     = 100
)

type pageLink struct {
	Href string `json:"href"`
}

// pageMeta is the part that all paged collections share.
type pageMeta struct {
	First      pageLink  `json:"first"`
	Limit      int       `json:"limit"`
	Next       *pageLink `json:"next,omitempty"`
	TotalCount int       `json:"total_count"`
}

// ordering gives an item's place in a list: by key, then by serial number.
type ordering[T any] struct {
	key  func(T) string
	seq  func(T) int64
	desc bool
}

// bySeq orders a list by creation.
func bySeq[T interface{ serial() int64 }]() ordering[T] {
	return ordering[T]{key: func(T) string { return "" }, seq: func(t T) int64 { return t.serial() }}
}

func (o ordering[T]) compare(keyA string, seqA int64, keyB string, seqB int64) int {
	c := cmp.Or(cmp.Compare(keyA, keyB), cmp.Compare(seqA, seqB))
	if o.desc {
		return -c
	}
	return c
}

// page cuts one page out of items. The token "start" is the place of the last item of the page before, so that
// items made or deleted between two pages neither repeat nor hide others.
func page[T any](c *call, items []T, order ordering[T]) ([]T, pageMeta, error) {
	query := c.r.URL.Query()
	meta := pageMeta{Limit: defaultPageLimit, TotalCount: len(items)}
	if raw := query.Get("limit"); raw != "" {
		n, err := strconv.Atoi(raw)
		if err != nil || n < 1 || n > maxPageLimit {
			return nil, meta, badParameter(codeBadRequest, "limit", raw, "The limit must be from 1 to %d.", maxPageLimit)
		}
		meta.Limit = n
	}
	slices.SortFunc(items, func(a, b T) int { return order.compare(order.key(a), order.seq(a), order.key(b), order.seq(b)) })
	if raw := query.Get("start"); raw != "" {
		key, seq, err := parseStart(raw)
		if err != nil {
			return nil, meta, badParameter(codeBadRequest, "start", raw, "The start token is not one that this service gave.")
		}
		items = slices.DeleteFunc(items, func(t T) bool { return order.compare(order.key(t), order.seq(t), key, seq) <= 0 })
	}
	if len(items) > meta.Limit {
		items = items[:meta.Limit]
		last := items[len(items)-1]
		meta.Next = &pageLink{Href: c.pageHref(query, meta.Limit, formatStart(order.key(last), order.seq(last)))}
	}
	meta.First = pageLink{Href: c.pageHref(query, meta.Limit, "")}
	return items, meta, nil
}

// pageHref keeps the filters of the request, as IBM's links do, and leaves out what every request carries anyway.
func (c *call) pageHref(query url.Values, limit int, start string) string {
	q := url.Values{}
	for name, values := range query {
		if name != "version" && name != "generation" {
			q[name] = values
		}
	}
	q.Set("limit", strconv.Itoa(limit))
	q.Del("start")
	if start != "" {
		q.Set("start", start)
	}
	return c.base + c.r.URL.Path + "?" + q.Encode()
}

func formatStart(key string, seq int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d|%s", seq, key))
}

func parseStart(token string) (key string, seq int64, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", 0, err
	}
	number, key, found := strings.Cut(string(raw), "|")
	if !found {
		return "", 0, fmt.Errorf("start token without separator")
	}
	seq, err = strconv.ParseInt(number, 10, 64)
	return key, seq, err
}
