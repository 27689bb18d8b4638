package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Artifact is a file that machines fetch.
type Artifact struct {
	Name, Kind, Version string
	Size                int64 // bytes
	SHA256              string
	State               string    // ready or broken
	Problem             *string   // why it is broken
	InPlace             bool      `json:"in_place"`
	Registered          time.Time `json:"registered_at"`
	InUseBy             []string  `json:"in_use_by"` // nodes whose deployment may still fetch it
}

// Artifacts lists the catalogue, by name.
func (c *Client) Artifacts(ctx context.Context) ([]Artifact, error) {
	var out struct{ Artifacts []Artifact }
	_, err := c.rest(ctx, http.MethodGet, "/api/artifacts", nil, &out)
	return out.Artifacts, err
}

// Upload says what is uploaded.
type Upload struct {
	Name, Kind, Version string
	SHA256              string // hex; the server refuses other bytes
	Size                int64  // bytes
}

// UploadArtifact gives the server a file under a name. There is no limit of
// time but ctx's. If the server has the same file already, nothing is sent.
func (c *Client) UploadArtifact(ctx context.Context, u Upload, body io.Reader) (Artifact, error) {
	q := url.Values{"kind": {u.Kind}}
	if u.Version != "" {
		q.Set("version", u.Version)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+"/api/artifacts/"+url.PathEscape(u.Name)+"?"+q.Encode(), body)
	if err != nil {
		return Artifact{}, fmt.Errorf("upload: %w", err)
	}
	r.ContentLength = u.Size
	if u.Size == 0 {
		r.Body = http.NoBody
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("X-Checksum-Sha256", u.SHA256)
	r.Header.Set("Expect", "100-continue") // what is refused is not sent
	resp, err := c.http.Do(r)
	if err != nil {
		return Artifact{}, fmt.Errorf("upload: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return Artifact{}, fmt.Errorf("upload: %w", err)
	}
	if resp.StatusCode >= 300 {
		refusal := &APIError{Status: resp.StatusCode}
		if json.Unmarshal(raw, refusal) != nil || refusal.Code == "" {
			return Artifact{}, fmt.Errorf("upload: the server answered %s", resp.Status)
		}
		return Artifact{}, refusal
	}
	var out Artifact
	if err := json.Unmarshal(raw, &out); err != nil {
		return Artifact{}, fmt.Errorf("upload: the answer: %w", err)
	}
	return out, nil
}

// RemoveArtifact takes a file out of the catalogue; it is refused while a
// machine may still fetch it.
func (c *Client) RemoveArtifact(ctx context.Context, name string) error {
	_, err := c.rest(ctx, http.MethodDelete, "/api/artifacts/"+url.PathEscape(name), nil, nil)
	return err
}
