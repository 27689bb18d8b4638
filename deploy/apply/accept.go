package apply

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/health"
	"github.com/slipwayhq/slipway/deploy/lifecycle"
	"github.com/slipwayhq/slipway/deploy/phase"
)

// Request asks for configurations to be applied.
type Request struct {
	Body           []byte // an object of documents by address or name, or a list of documents
	IdempotencyKey string
	Actor          deploy.Actor
}

// Item is what was accepted for one card.
type Item struct {
	Plan
	DeploymentID int64
}

// Applied answers a request.
type Applied struct {
	Run   *Run
	Items []Item
	// Existing: the same request was accepted before; this is its run.
	Existing bool
}

// keyMax is the longest idempotency key, in bytes.
const keyMax = 200

// Apply takes documents, and starts the script over them: when it answers
// without an error the script runs. Errors: invalid with every bad field, and
// then nothing was written; run_active; those of the host (script missing,
// directory not writable, disk full), and then everything is as it was but for
// a run and deployments that have failed, if it had come to that.
func (s *Service) Apply(ctx context.Context, in Request) (Applied, error) {
	if err := s.equipped(); err != nil {
		return Applied{}, err
	}
	if len(in.IdempotencyKey) > keyMax {
		return Applied{}, deploy.Invalid([]deploy.FieldError{{Field: "idempotency_key", Code: deploy.CodeOutOfRange, Message: fmt.Sprintf("is longer than %d bytes", keyMax)}})
	}
	hash := sha256.Sum256(in.Body)
	if out, known, err := s.sameRequest(ctx, in, hex.EncodeToString(hash[:])); known || err != nil {
		if err == nil && out.Run.StartedAt == nil && !out.Run.Active() {
			err = &deploy.Error{Code: deploy.CodeUpstreamUnavailable, Message: fmt.Sprintf("the same request was made before, and run %d did not begin: %s", out.Run.ID, out.Run.Problem), Hint: "see to the cause, then use a new key"}
		}
		return out, err
	}
	out, err := s.begin(ctx, in, hex.EncodeToString(hash[:]))
	if err != nil {
		return Applied{}, err
	}
	// What is accepted is begun, whether or not the caller still listens.
	id := out.Run.ID
	out.Run, err = s.drive(context.WithoutCancel(ctx), id)
	if err != nil && (out.Run == nil || out.Run.Active()) {
		s.deps.Logger.Warn("a run has not begun yet", "run", id, "error", err)
		return out, &deploy.Error{Code: deploy.CodeUpstreamUnavailable, Message: fmt.Sprintf("run %d is accepted, and could not be begun at once; it goes on by itself", id), Hint: "look at the run; do not send the request again"}
	}
	if err == nil && !out.Run.Active() && out.Run.StartedAt == nil {
		// Service.Run, which drives it too, was told so before.
		err = &deploy.ProviderError{Code: deploy.CodeUpstreamUnavailable, Message: out.Run.Problem}
	}
	return out, refusal(err)
}

// errOvertaken: a run began and ended while a request was being prepared, and
// took the numbers that it was to have.
var errOvertaken = &deploy.Error{Code: deploy.CodeConflict, Message: "other runs have just taken the numbers of the files", Retryable: true}

// overtaken bounds how often a request is prepared.
const overtaken = 5

// begin prepares a request and writes down that it was accepted.
func (s *Service) begin(ctx context.Context, in Request, hash string) (out Applied, err error) {
	for range overtaken {
		prepared, err := s.prepare(ctx, in.Body)
		if err == nil {
			err = deploy.Invalid(prepared.Errors)
		}
		if err != nil {
			return Applied{}, err
		}
		obstacle, err := s.obstacle(ctx)
		if err == nil {
			err = obstacle
		}
		if err != nil {
			return Applied{}, err
		}
		seen := s.look(ctx, prepared.Plans)
		out, err = s.accept(ctx, in, hash, prepared, seen)
		if !errors.Is(err, errOvertaken) {
			return out, s.named(ctx, err)
		}
	}
	return Applied{}, errOvertaken
}

// accept writes the run with its deployments and documents.
func (s *Service) accept(ctx context.Context, in Request, hash string, prepared Preview, seen map[int]health.Result) (out Applied, err error) {
	plans := prepared.Plans
	var nodes []int64
	for _, p := range plans {
		if p.NodeID != 0 {
			nodes = append(nodes, p.NodeID)
		}
	}
	err = s.deps.Writer.Do(ctx, nil, nodes, func(tx *lifecycle.Tx) error {
		out = Applied{}
		if active, err := s.activeRun(ctx, tx.SQL()); err != nil || active != nil {
			return busyOr(err, active)
		}
		if now, err := highestNumber(ctx, tx.SQL()); err != nil || now != prepared.highest {
			return orOvertaken(err)
		}
		id, err := s.insertRun(ctx, tx, in.Actor, in.IdempotencyKey, hash, len(plans))
		if err != nil {
			return err
		}
		out.Run = &Run{ID: id}
		for _, p := range plans {
			made, err := tx.Deploy(lifecycle.NewDeployment{NodeID: p.NodeID, Name: p.NodeName, Actor: in.Actor,
				Spec: deploy.Spec{Provider: deploy.ProviderScript, ManagementIP: p.Target, Document: p.document()}}, sql.NullInt64{})
			if err != nil {
				return &withdrawn{atCard(err, p)}
			}
			begin := lifecycle.Report{DeploymentID: made.DeploymentID, Phase: phase.Pending, Status: phase.Success, Message: fmt.Sprintf("run %d of the deployment script", id),
				As: phase.ByWorkflow, Source: deploy.SourceOrchestrator, Actor: deploy.System}
			if _, err := tx.Report(begin); err != nil {
				return err
			}
			if err := s.insertDocument(ctx, tx, id, made.DeploymentID, 1, made.NodeID, p.File, p.Number, p.Body, p.bootIDBefore(seen[p.Index])); err != nil {
				return err
			}
			if p.known == nil || p.known.hostKey == "" { // the first sight of this host
				if err := tx.LearnFor(made.DeploymentID, lifecycle.NodeFacts{SSHHostKey: seen[p.Index].HostKey}); err != nil {
					return err
				}
			}
			p.NodeID = made.NodeID
			out.Items = append(out.Items, Item{Plan: p, DeploymentID: made.DeploymentID})
		}
		return nil
	})
	var back *withdrawn
	if errors.As(err, &back) {
		return Applied{}, back.refusal
	}
	return out, err
}

// withdrawn is a refusal that came when something had been written already. It
// does not unwrap to it: the writer keeps what a refusal leaves, and takes back
// what any other error does.
type withdrawn struct{ refusal error }

func (w *withdrawn) Error() string { return w.refusal.Error() }

func orOvertaken(err error) error {
	if err != nil {
		return err
	}
	return errOvertaken
}

func busyOr(err error, active *Run) error {
	if err != nil {
		return err
	}
	return active.busy()
}

// atCard says which card a refusal is about.
func atCard(err error, p Plan) error {
	e, ok := deploy.AsError(err)
	if !ok {
		return err
	}
	refused := *e
	refused.Fields = nil
	for _, f := range e.Fields {
		f.Field = fmt.Sprintf("cards.%d.%s", p.Index, strings.TrimPrefix(f.Field, "spec."))
		refused.Fields = append(refused.Fields, f)
	}
	if len(refused.Fields) == 0 {
		refused.Fields = []deploy.FieldError{{Field: fmt.Sprintf("cards.%d", p.Index), Code: e.Code, Message: e.Message}}
	}
	refused.Message = p.NodeName + ": " + e.Message
	return &refused
}

func (s *Service) insertRun(ctx context.Context, tx *lifecycle.Tx, actor deploy.Actor, key, hash string, nodes int) (id int64, err error) {
	var unique any
	if key != "" {
		unique = key
	}
	err = tx.SQL().QueryRowContext(ctx, `INSERT INTO script_runs (identity, host, state, nodes, signal, problem, log_bytes, log_cut, cancel_by, cancel_reason, requested_by_kind, requested_by, idempotency_key, request_hash, created_at)
		VALUES ($1, $2, $3, $4, '', '', 0, $5, '', '', $6, $7, $8, $9, $10) RETURNING id`,
		deploy.NewRunIdentity(), s.deps.Host.Host(), deploy.RunStoring, nodes, false, string(actor.Kind), actor.Name, unique, hash, tx.Now()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("apply: inserting a run: %w", err)
	}
	return id, nil
}

func (s *Service) insertDocument(ctx context.Context, tx *lifecycle.Tx, run, deployment int64, attempt int, node int64, file string, number int, body []byte, boot string) error {
	sum := sha256.Sum256(body)
	_, err := tx.SQL().ExecContext(ctx, `INSERT INTO script_documents (run_id, deployment_id, attempt, node_id, file, number, body, sha256, boot_id_before, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, run, deployment, attempt, node, file, number, body, hex.EncodeToString(sum[:]), boot, tx.Now())
	if err != nil {
		return fmt.Errorf("apply: inserting a document: %w", err)
	}
	return nil
}

// named turns the violation of a unique index, which another replica or
// request has caused meanwhile, into a refusal.
func (s *Service) named(ctx context.Context, err error) error {
	constraint, ok := s.deps.Store.IsUnique(err)
	switch {
	case !ok:
		return err
	case strings.Contains(constraint, "script_runs_one_active"):
		if active, bad := s.activeRun(ctx, s.deps.Store.Read); bad == nil && active != nil {
			return active.busy()
		}
		return &deploy.Error{Code: deploy.CodeRunActive, Message: "another run of the deployment script has just begun", Retryable: true}
	case strings.Contains(constraint, "idempotency"):
		return &deploy.Error{Code: deploy.CodeConflict, Message: "the same request is being worked on", Retryable: true}
	case strings.Contains(constraint, "management_ip"):
		return &deploy.Error{Code: deploy.CodeConflict, Message: "another node has just taken one of the addresses", Retryable: true}
	case strings.Contains(constraint, "name"), strings.Contains(constraint, "one_active"):
		return &deploy.Error{Code: deploy.CodeConflict, Message: "one of the nodes has just been made or deployed by somebody else", Retryable: true}
	}
	return err
}

// sameRequest finds the run that the same request has begun before.
func (s *Service) sameRequest(ctx context.Context, in Request, hash string) (out Applied, known bool, err error) {
	if in.IdempotencyKey == "" {
		return out, false, nil
	}
	var id int64
	var prior string
	err = s.deps.Store.Read.QueryRowContext(ctx, `SELECT id, request_hash FROM script_runs WHERE requested_by = $1 AND idempotency_key = $2`, in.Actor.Name, in.IdempotencyKey).Scan(&id, &prior)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return out, false, nil
	case err != nil:
		return out, false, fmt.Errorf("apply: looking for the same request: %w", err)
	case prior != hash:
		return out, true, &deploy.Error{Code: deploy.CodeIdempotencyConflict, Message: "this idempotency key was used for another request", Hint: "use a new key for each request"}
	}
	run, err := s.Get(ctx, id)
	if err != nil {
		return out, true, err
	}
	docs, err := s.Documents(ctx, id)
	out = Applied{Run: run, Existing: true}
	for i, d := range docs {
		out.Items = append(out.Items, Item{DeploymentID: d.DeploymentID, Plan: Plan{Index: i, Identity: d.NodeName, NodeID: d.NodeID, NodeName: d.NodeName, File: d.File, Number: d.Number, Body: d.Body, Action: ActionSame}})
	}
	return out, true, err
}
