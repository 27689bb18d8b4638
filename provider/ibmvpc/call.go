package ibmvpc

import (
	"context"

	"github.com/IBM/go-sdk-core/v5/core"
)

// pageSize is the most that the VPC API gives in one page.
const pageSize = int64(100)

// get makes a call that is no create, with the SDK's retries, and gives its
// result or a *callFailure; the caller's context ending gives that error.
func get[T any](ctx context.Context, p *Provider, doing string, fn func(ctx context.Context) (T, *core.DetailedResponse, error)) (T, error) {
	return call(ctx, p, doing, p.reading, fn)
}

// create makes a call that is never repeated.
func create[T any](ctx context.Context, p *Provider, doing string, fn func(ctx context.Context) (T, *core.DetailedResponse, error)) (T, error) {
	return call(ctx, p, doing, p.creating, fn)
}

func call[T any](ctx context.Context, p *Provider, doing string, bound func(context.Context) (context.Context, context.CancelFunc),
	fn func(ctx context.Context) (T, *core.DetailedResponse, error)) (T, error) {
	bounded, cancel := bound(ctx)
	defer cancel()
	var zero T
	if err := p.authenticate(bounded); err != nil {
		return zero, failure(ctx, doing, nil, err)
	}
	result, response, err := fn(bounded)
	if err != nil {
		return zero, failure(ctx, doing, response, err)
	}
	return result, nil
}

// pager is what the SDK's pagers have in common.
type pager[T any] interface {
	GetAllWithContext(ctx context.Context) ([]T, error)
}

// list reads all pages.
func list[T any, P pager[T]](ctx context.Context, p *Provider, doing string, open func() (P, error)) ([]T, error) {
	return get(ctx, p, doing, func(ctx context.Context) ([]T, *core.DetailedResponse, error) {
		pages, err := open()
		if err != nil {
			return nil, nil, err
		}
		all, err := pages.GetAllWithContext(ctx)
		return all, nil, err
	})
}
