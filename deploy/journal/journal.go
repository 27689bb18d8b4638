package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipwayhq/slipway/deploy"
	"github.com/slipwayhq/slipway/deploy/phase"
	"github.com/slipwayhq/slipway/deploy/store"
)

// problemMax is as much of an error's text as is kept, in bytes.
const problemMax = 2000

var states = []string{deploy.ResourceIntent, deploy.ResourceDoubtful, deploy.ResourcePresent, deploy.ResourceReleasing, deploy.ResourceGone}

// Journal is the table resources. It may be used concurrently, by any number
// of processes.
type Journal struct {
	store *store.Store
	now   func() time.Time
}

var _ deploy.Journal = (*Journal)(nil)

// New gives the journal in a store; now is the clock for the rows' times, nil
// for the machine's.
func New(s *store.Store, now func() time.Time) *Journal {
	if now == nil {
		now = time.Now
	}
	return &Journal{store: s, now: now}
}

func (j *Journal) time() time.Time { return j.now().UTC().Truncate(time.Microsecond) }

const columns = `id, node_id, created_by, held_by, provider, kind, role, name, generation, state, cloud_id, details, last_error, created_at, updated_at`

// Intend commits the row and returns it, or the one that is already there
// under the same provider, kind and name. A row of another node is a
// deploy.Error with code conflict, and a deployment that has ended or is not
// the node's current one a wrong_state.
func (j *Journal) Intend(ctx context.Context, i deploy.Intent) (deploy.Resource, error) {
	if i.NodeID <= 0 || i.DeploymentID <= 0 || i.Provider == "" || i.Kind == "" || i.Name == "" {
		return deploy.Resource{}, deploy.Errorf(deploy.CodeInvalid, "a resource needs node, deployment, provider, kind and name")
	}
	details, err := text(i.Details)
	if err != nil {
		return deploy.Resource{}, err
	}
	var r deploy.Resource
	err = j.store.InTx(ctx, func(tx *sql.Tx) error {
		if err := j.fence(ctx, tx, i.DeploymentID, i.NodeID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO resources
			(node_id, created_by, held_by, provider, kind, role, name, generation, state, details, last_error, created_at, updated_at)
			VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9, '', $10, $10)
			ON CONFLICT (provider, kind, name) DO NOTHING`,
			i.NodeID, i.DeploymentID, i.Provider, i.Kind, i.Role, i.Name, max(i.Generation, 1), deploy.ResourceIntent, details, j.time())
		if err != nil {
			return err
		}
		r, err = scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM resources WHERE provider = $1 AND kind = $2 AND name = $3`,
			i.Provider, i.Kind, i.Name))
		return err
	})
	if err != nil {
		return deploy.Resource{}, fmt.Errorf("journal: intending %s %q: %w", i.Kind, i.Name, err)
	}
	if r.NodeID != i.NodeID {
		return deploy.Resource{}, deploy.Errorf(deploy.CodeConflict, "the %s %q belongs to another node", i.Kind, i.Name)
	}
	return r, nil
}

// Settle records what became of a resource. An empty cloudID and nil details
// leave what is there, deploy.NoCloudID takes the id away; an empty problem
// clears the last one. A resource that
// is gone stays so, unless it is seen again: then it is present. Anything else
// is a deploy.Error with code wrong_state, and so is a doubtful one when the
// deployment that holds it has ended; an unknown id is not_found.
func (j *Journal) Settle(ctx context.Context, id int64, state, cloudID string, details json.RawMessage, problem string) error {
	if !slices.Contains(states, state) {
		return deploy.Errorf(deploy.CodeInvalid, "%q is no state of a resource", state)
	}
	detail, err := text(details)
	if err != nil {
		return err
	}
	return j.change(ctx, id, state == deploy.ResourceDoubtful, func(tx *sql.Tx, now string) error {
		if now == deploy.ResourceGone && state != deploy.ResourceGone && state != deploy.ResourcePresent {
			return deploy.Errorf(deploy.CodeWrongState, "the resource %d is gone and cannot become %s", id, state)
		}
		_, err := tx.ExecContext(ctx, `UPDATE resources SET state = $2, cloud_id = CASE WHEN $7 THEN NULL ELSE COALESCE($3, cloud_id) END,
			details = COALESCE($4, details), last_error = $5, updated_at = $6 WHERE id = $1`,
			id, state, sql.NullString{String: cloudID, Valid: cloudID != ""}, detail, head(problem), j.time(), cloudID == deploy.NoCloudID)
		if err != nil {
			return fmt.Errorf("journal: settling resource %d: %w", id, err)
		}
		return nil
	})
}

// Amend changes the details of a resource that is present and whose
// deployment has not ended; else it is a deploy.Error with code wrong_state.
// change gets the details as they are, and is in the transaction: it must
// neither wait nor use the database.
func (j *Journal) Amend(ctx context.Context, id int64, change func(details json.RawMessage) (json.RawMessage, error)) error {
	return j.change(ctx, id, true, func(tx *sql.Tx, now string) error {
		if now != deploy.ResourcePresent {
			return deploy.Errorf(deploy.CodeWrongState, "the resource %d is %s and not present", id, now)
		}
		var before sql.NullString
		if err := tx.QueryRowContext(ctx, `SELECT details FROM resources WHERE id = $1`, id).Scan(&before); err != nil {
			return fmt.Errorf("journal: reading resource %d: %w", id, err)
		}
		var details json.RawMessage
		if before.Valid {
			details = json.RawMessage(before.String)
		}
		details, err := change(details)
		if err != nil {
			return err
		}
		after, err := text(details)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE resources SET details = $2, updated_at = $3 WHERE id = $1`, id, after, j.time())
		if err != nil {
			return fmt.Errorf("journal: amending resource %d: %w", id, err)
		}
		return nil
	})
}

// errMoved says that another deployment took a resource between two looks.
var errMoved = errors.New("journal: the resource moved to another deployment")

// change locks a resource, behind the fence of the deployment that holds it if
// asked for, and tells fn the state it is in.
func (j *Journal) change(ctx context.Context, id int64, fenced bool, fn func(tx *sql.Tx, now string) error) error {
	for {
		err := j.store.InTx(ctx, func(tx *sql.Tx) error {
			node, holder, _, err := lookUp(ctx, tx, id, "")
			if err != nil {
				return err
			}
			// The deployment's row is locked before the resource's, as
			// everywhere, so that no two transactions wait in a ring.
			if fenced {
				if err := j.fence(ctx, tx, holder, node); err != nil {
					return err
				}
			}
			_, now, state, err := lookUp(ctx, tx, id, j.store.ForUpdate())
			if err != nil {
				return err
			}
			if fenced && now != holder {
				return errMoved
			}
			return fn(tx, state)
		})
		if !errors.Is(err, errMoved) {
			return err
		}
	}
}

func lookUp(ctx context.Context, tx *sql.Tx, id int64, lock string) (node, holder int64, state string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT node_id, held_by, state FROM resources WHERE id = $1`+lock, id).Scan(&node, &holder, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, "", deploy.Errorf(deploy.CodeNotFound, "there is no resource %d", id)
	}
	if err != nil {
		return 0, 0, "", fmt.Errorf("journal: reading resource %d: %w", id, err)
	}
	return node, holder, state, nil
}

// fence refuses what a deployment may not do any more: nothing is asked of a
// cloud for one that has ended or no longer holds its node. Its row stays
// locked until the transaction ends, so that it cannot end meanwhile.
func (j *Journal) fence(ctx context.Context, tx *sql.Tx, deploymentID, nodeID int64) error {
	lock := ""
	if j.store.Dialect == store.PostgreSQL {
		lock = " FOR SHARE"
	}
	var state string
	err := tx.QueryRowContext(ctx, `SELECT state FROM deployments WHERE id = $1 AND node_id = $2`+lock, deploymentID, nodeID).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return deploy.Errorf(deploy.CodeWrongState, "node %d has no deployment %d", nodeID, deploymentID)
	}
	if err != nil {
		return fmt.Errorf("journal: reading deployment %d: %w", deploymentID, err)
	}
	if state != phase.Running && state != phase.Canceling {
		return deploy.Errorf(deploy.CodeWrongState, "deployment %d is %s: nothing is made for it any more", deploymentID, state)
	}
	// A statement of its own: it sees what was committed while the lock was waited for.
	var current sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT current_deployment_id FROM nodes WHERE id = $1`, nodeID).Scan(&current); err != nil {
		return fmt.Errorf("journal: reading node %d: %w", nodeID, err)
	}
	if current.Int64 != deploymentID {
		return deploy.Errorf(deploy.CodeWrongState, "deployment %d is not the node's current one", deploymentID)
	}
	return nil
}

// Held lists what the node holds that is not gone, oldest first.
func (j *Journal) Held(ctx context.Context, nodeID int64) ([]deploy.Resource, error) {
	return j.list(ctx, fmt.Sprintf("what node %d holds", nodeID), `node_id = $1 AND state <> $2`, nodeID, deploy.ResourceGone)
}

// ByNode lists all that was ever made for the node, oldest first.
func (j *Journal) ByNode(ctx context.Context, nodeID int64) ([]deploy.Resource, error) {
	return j.list(ctx, fmt.Sprintf("what was made for node %d", nodeID), `node_id = $1`, nodeID)
}

// All lists all that was ever made at a provider, oldest first.
func (j *Journal) All(ctx context.Context, provider string) ([]deploy.Resource, error) {
	return j.list(ctx, "what was made at "+provider, `provider = $1`, provider)
}

func (j *Journal) list(ctx context.Context, what, where string, args ...any) ([]deploy.Resource, error) {
	rows, err := j.store.Read.QueryContext(ctx, `SELECT `+columns+` FROM resources WHERE `+where+` ORDER BY id`, args...)
	if err != nil {
		return nil, fmt.Errorf("journal: reading %s: %w", what, err)
	}
	defer rows.Close()
	var all []deploy.Resource
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("journal: reading %s: %w", what, err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("journal: reading %s: %w", what, err)
	}
	return all, nil
}

func scan(row interface{ Scan(...any) error }) (deploy.Resource, error) {
	var r deploy.Resource
	var cloudID, details sql.NullString
	err := row.Scan(&r.ID, &r.NodeID, &r.CreatedBy, &r.HeldBy, &r.Provider, &r.Kind, &r.Role, &r.Name, &r.Generation, &r.State, &cloudID, &details,
		&r.LastError, store.Time(&r.CreatedAt), store.Time(&r.UpdatedAt))
	if err != nil {
		return deploy.Resource{}, err
	}
	r.CloudID = cloudID.String
	if details.Valid {
		r.Details = json.RawMessage(details.String)
	}
	return r, nil
}

// text is the column's value for details; NULL for none.
func text(details json.RawMessage) (sql.NullString, error) {
	if details == nil {
		return sql.NullString{}, nil
	}
	if !json.Valid(details) {
		return sql.NullString{}, deploy.Errorf(deploy.CodeInvalid, "a resource's details must be JSON")
	}
	return sql.NullString{String: string(details), Valid: true}, nil
}

// head cuts a text to problemMax bytes without splitting a character, and
// drops what PostgreSQL does not store.
func head(s string) string {
	if len(s) > problemMax {
		s = s[:problemMax]
	}
	clean := make([]rune, 0, len(s))
	for _, r := range s {
		if r != 0 && r != '\uFFFD' {
			clean = append(clean, r)
		}
	}
	return string(clean)
}
