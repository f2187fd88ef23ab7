package cli

import (
	"context"
	"io"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// source is what the listing commands read from: a running daemon, or the store of one that is
// down.
type source interface {
	Deliveries(ctx context.Context, f store.Filter) (list []admin.Delivery, next string, err error)
	// Search looks into deliveries; the page says where to go on.
	Search(ctx context.Context, f store.Filter, s admin.Search) (admin.SearchPage, error)
	Delivery(ctx context.Context, id string) (admin.DeliveryDetail, error)
	Body(ctx context.Context, id string) ([]byte, error)
	Jobs(ctx context.Context, f store.Filter) (list []admin.Job, next string, err error)
	Job(ctx context.Context, id string) (admin.JobDetail, error)
	Output(ctx context.Context, id string, attempt int) (admin.Output, error)
	Rejects(ctx context.Context, f store.Filter) (list []admin.Reject, next string, err error)
	AuditLog(ctx context.Context, before int64, most int) (admin.AuditPage, error)
}

var _ source = (*admin.Client)(nil)

// reader is a store opened for reading only.
type reader interface {
	admin.Reader
	ReadDeliveries(ctx context.Context, f store.Filter, maxBytes int) ([]job.Delivery, error)
	CountDeliveries(ctx context.Context, f store.Filter) (int, error)
	Holding(ctx context.Context, delivery string) (job.Held, error)
	io.Closer
}

// stored is a store as a source.
type stored struct {
	reader
	hooks func() *hook.Set // of the configuration, nil when it has problems
}

func (s stored) Search(ctx context.Context, f store.Filter, query admin.Search) (admin.SearchPage, error) {
	found, err := daemon.Search(ctx, s.reader, s.hooks(), f, query, admin.SearchPatience)
	return admin.NewSearchPage(found), err
}

func (s stored) Deliveries(ctx context.Context, f store.Filter) (list []admin.Delivery, next string, err error) {
	found, err := s.reader.Deliveries(ctx, f)
	if err != nil {
		return nil, "", err
	}
	for i := range found {
		list = append(list, admin.NewDelivery(&found[i]))
	}
	if len(found) > 0 && len(found) == f.Limit {
		next = found[len(found)-1].ID
	}
	return list, next, nil
}

func (s stored) Delivery(ctx context.Context, id string) (admin.DeliveryDetail, error) {
	d, err := s.reader.Delivery(ctx, id)
	if err != nil {
		return admin.DeliveryDetail{}, err
	}
	if held, err := s.reader.Holding(ctx, id); err == nil {
		d.Held = &held
	}
	return admin.NewDeliveryDetail(&d), nil
}

func (s stored) Body(ctx context.Context, id string) ([]byte, error) {
	d, err := s.reader.Delivery(ctx, id)
	return d.Body, err
}

func (s stored) Jobs(ctx context.Context, f store.Filter) (list []admin.Job, next string, err error) {
	found, err := s.reader.Jobs(ctx, f)
	if err != nil {
		return nil, "", err
	}
	for i := range found {
		list = append(list, admin.NewJob(&found[i]))
	}
	if len(found) > 0 && len(found) == f.Limit {
		next = found[len(found)-1].ID
	}
	return list, next, nil
}

func (s stored) Job(ctx context.Context, id string) (admin.JobDetail, error) {
	j, err := s.reader.Job(ctx, id)
	if err != nil {
		return admin.JobDetail{}, err
	}
	attempts, err := s.reader.Attempts(ctx, id)
	if err != nil {
		return admin.JobDetail{}, err
	}
	followUps, err := s.reader.FollowUps(ctx, id)
	if err != nil {
		return admin.JobDetail{}, err
	}
	reports, err := s.reader.Reports(ctx, id)
	if err != nil {
		return admin.JobDetail{}, err
	}
	detail := admin.NewJobDetail(&j, attempts, followUps)
	detail.Reports = admin.NewReports(reports)
	detail.Shares, err = admin.Shares(ctx, s.reader, &j)
	return detail, err
}

func (s stored) Output(ctx context.Context, id string, attempt int) (admin.Output, error) {
	j, err := s.reader.Job(ctx, id)
	if err != nil {
		return admin.Output{}, err
	}
	attempts, err := s.reader.Attempts(ctx, id)
	if err != nil {
		return admin.Output{}, err
	}
	return admin.PickOutput(&j, attempts, attempt)
}

func (s stored) Rejects(ctx context.Context, f store.Filter) (list []admin.Reject, next string, err error) {
	found, err := s.reader.Rejects(ctx, f)
	if err != nil {
		return nil, "", err
	}
	for i := range found {
		list = append(list, admin.NewReject(&found[i]))
	}
	if len(found) > 0 && len(found) == f.Limit {
		next = found[len(found)-1].ID
	}
	return list, next, nil
}

func (s stored) AuditLog(ctx context.Context, before int64, most int) (p admin.AuditPage, err error) {
	if p.Entries, err = s.reader.AuditLog(ctx, before, most); err != nil {
		return p, err
	}
	p.Anchor, err = s.AuditAnchor(ctx)
	return p, err
}
