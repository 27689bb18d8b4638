package graph

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slipwayhq/slipway/deploy/query"
	"github.com/slipwayhq/slipway/graph/model"
)

// failureGroups tells why current deployments have failed.
func (r *Resolver) failureGroups(ctx context.Context, in *model.BareMetalNodeFilter) ([]*model.FailureGroup, error) {
	filter, err := nodeFilter(in)
	if err != nil {
		return nil, err
	}
	groups, err := r.Fleet.Failures(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := make([]*model.FailureGroup, 0, len(groups))
	for _, g := range groups {
		m := &model.FailureGroup{Phase: phaseOf(g.Phase), PhaseKey: g.Phase, Code: g.Code, Count: g.Count, NewestAt: g.Newest, OldestAt: g.Oldest}
		if d := g.Sample; d != nil {
			m.Message, m.Hint, m.Retryable = deref(d.FailureMessage), text(deref(d.FailureHint)), deref(d.FailureRetryable)
		}
		m.Within = &model.BareMetalNodeFilter{}
		if in != nil {
			*m.Within = *in
		}
		m.Within.FailurePhases, m.Within.FailureCodes = []model.Phase{m.Phase}, []string{g.Code}
		out = append(out, m)
	}
	return out, nil
}

func seriesOf(provider *model.Provider, profile *string, phase *model.Phase, from, to time.Time, bucket time.Duration) query.SeriesOf {
	o := query.SeriesOf{Profile: deref(profile), From: from, To: to, Bucket: bucket}
	if provider != nil {
		o.Provider = strings.ToLower(string(*provider))
	}
	if phase != nil {
		o.Phase = strings.ToLower(string(*phase))
	}
	return o
}

func (r *Resolver) durationSeries(ctx context.Context, o query.SeriesOf) ([]*model.DurationBucket, error) {
	list, err := r.Fleet.Durations(ctx, o)
	if err != nil {
		return nil, err
	}
	out := make([]*model.DurationBucket, len(list))
	for i, b := range list {
		out[i] = &model.DurationBucket{Start: b.Start, Count: b.Count, P50: b.P50, P95: b.P95}
	}
	return out, nil
}

func (r *Resolver) successSeries(ctx context.Context, o query.SeriesOf) ([]*model.SuccessSeries, error) {
	list, err := r.Fleet.Successes(ctx, o)
	if err != nil {
		return nil, err
	}
	out := make([]*model.SuccessSeries, len(list))
	for i, s := range list {
		out[i] = &model.SuccessSeries{Provider: providerOf(s.Provider), ServerProfile: s.Profile, Buckets: make([]*model.SuccessBucket, 0, len(s.Buckets))}
		for b := range slices.Values(s.Buckets) {
			out[i].Buckets = append(out[i].Buckets, &model.SuccessBucket{Start: b.Start, Succeeded: b.Succeeded, Failed: b.Failed, Canceled: b.Canceled})
		}
	}
	return out, nil
}
