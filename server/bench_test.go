package server_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipwayhq/slipway/deploy/store"
	"github.com/slipwayhq/slipway/deploy/store/storetest"
)

// benchMachines is how many deployments are reported on.
const benchMachines = 64

// BenchmarkReport measures reports over HTTP that move a phase's progress; each
// is on disk before its answer. Clients and server share the processors.
// "single" is the baseline: a plain handler on the same database and schema
// that makes the same changes in one transaction a report, with prepared
// statements, no history of its own to check and no authentication.
func BenchmarkReport(b *testing.B) {
	databases := map[string]func(testing.TB) *store.Store{"sqlite": storetest.SQLite, "postgres": storetest.DurablePostgres}
	for _, name := range []string{"sqlite", "postgres"} {
		for _, clients := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("db=%s/clients=%d/handler=slipway", name, clients), func(b *testing.B) {
				r := newRig(b, databases[name](b))
				tokens := make([]machine, benchMachines)
				for i := range tokens {
					tokens[i] = r.boot(fmt.Sprintf("web-%02d", i), fmt.Sprintf("10.0.0.%d", i+1))
				}
				postReports(b, clients, r.web.URL+"/api/status/phase", tokens)
			})
			b.Run(fmt.Sprintf("db=%s/clients=%d/handler=single", name, clients), func(b *testing.B) {
				r := newRig(b, databases[name](b))
				tokens := make([]machine, benchMachines)
				for i := range tokens {
					tokens[i] = r.boot(fmt.Sprintf("web-%02d", i), fmt.Sprintf("10.0.0.%d", i+1))
				}
				web := httptest.NewServer(newSingle(b, r.st))
				b.Cleanup(web.Close)
				postReports(b, clients, web.URL, tokens)
			})
		}
	}
}

// postReports sends b.N reports from that many clients.
func postReports(b *testing.B, clients int, url string, machines []machine) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	var n atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range clients {
		all.Go(func() {
			for {
				i := int(n.Add(1))
				if i > b.N || b.Failed() {
					return
				}
				m := machines[i%len(machines)]
				body := fmt.Sprintf(`{"server_ip":%q,"phase":"image_download","status":"in_progress","progress":%d,"message":"part %d"}`, m.ip, i%101, i)
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("Content-Type", jsonType)
				req.Header.Set("Authorization", "Bearer "+m.token)
				res, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Errorf("answered %d", res.StatusCode)
					return
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reports/s")
}

// single is the baseline handler.
type single struct {
	db    *sql.DB
	stmts map[string]*sql.Stmt
}

var singleSQL = map[string]string{
	"find":       `SELECT n.id, d.id, d.sequence, r.id FROM nodes n JOIN deployments d ON d.id = n.current_deployment_id JOIN phase_runs r ON r.deployment_id = d.id AND r.finished_at IS NULL WHERE n.management_ip = $1`,
	"run":        `UPDATE phase_runs SET status = $1, progress = $2, message = $3 WHERE id = $4`,
	"deployment": `UPDATE deployments SET sequence = sequence + 1, updated_at = $1, version = version + 1 WHERE id = $2 RETURNING sequence`,
	"counter":    `UPDATE stream_counter SET position = position + 2 WHERE id = 1 RETURNING position`,
	"node":       `UPDATE nodes SET version = version + 1, last_seen_at = $1, updated_at = $1, changed_position = $2 WHERE id = $3`,
	"event": `INSERT INTO deployment_history (id, position, deployment_id, node_id, sequence, attempt, phase, status, message, outcome, source, actor, progress, hash, state, occurred_at, recorded_at)
		VALUES ($1, $1, $2, $3, $4, 1, $5, $6, $7, 'accepted', 'installer_script', 'bench', $8, '', 'running', $9, $9)`,
}

func newSingle(b *testing.B, st *store.Store) *single {
	s := &single{db: st.Write, stmts: map[string]*sql.Stmt{}}
	for name, query := range singleSQL {
		stmt, err := st.Write.Prepare(query)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = stmt.Close() })
		s.stmts[name] = stmt
	}
	return s
}

// ServeHTTP writes one report in one transaction.
func (s *single) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ServerIP string `json:"server_ip"`
		Phase    string `json:"phase"`
		Status   string `json:"status"`
		Message  string `json:"message"`
		Progress int    `json:"progress"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var sequence int
	err := s.write(r.Context(), func(tx *sql.Tx) error {
		var node, deployment, run, position int64
		now := time.Now().UTC().Truncate(time.Microsecond)
		ctx := r.Context()
		if err := tx.StmtContext(ctx, s.stmts["find"]).QueryRowContext(ctx, in.ServerIP).Scan(&node, &deployment, &sequence, &run); err != nil {
			return err
		}
		if err := tx.StmtContext(ctx, s.stmts["deployment"]).QueryRowContext(ctx, now, deployment).Scan(&sequence); err != nil {
			return err
		}
		if _, err := tx.StmtContext(ctx, s.stmts["run"]).ExecContext(ctx, in.Status, in.Progress, in.Message, run); err != nil {
			return err
		}
		if err := tx.StmtContext(ctx, s.stmts["counter"]).QueryRowContext(ctx).Scan(&position); err != nil {
			return err
		}
		if _, err := tx.StmtContext(ctx, s.stmts["event"]).ExecContext(ctx, position-1, deployment, node, sequence, in.Phase, in.Status, in.Message, in.Progress, now); err != nil {
			return err
		}
		_, err := tx.StmtContext(ctx, s.stmts["node"]).ExecContext(ctx, now, position, node)
		return err
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = fmt.Fprintf(w, `{"message":"recorded","accepted":true,"sequence":%d}`, sequence)
}

func (s *single) write(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}
