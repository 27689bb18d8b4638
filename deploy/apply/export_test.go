package apply

import "context"

// Drive takes a run a step further, as Run does again and again.
func (s *Service) Drive(ctx context.Context, id int64) (*Run, error) { return s.drive(ctx, id) }
