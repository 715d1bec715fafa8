package task

import "context"

// Await returns nil when done is closed or gives something, or the cause of ctx when that
// ends. If both have happened, it is either.
func Await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
