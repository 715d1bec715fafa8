package dialog

import "context"

// Scope opens a dialog and runs body with it, as package contract does in two steps.
func (t *Table) Scope(ctx context.Context, r *Request, body func(ctx context.Context, d *Dialog) error) error {
	d, err := t.Open(ctx, r)
	if err != nil {
		return err
	}
	return d.Scope(body)
}
