// Package storetest gives tests real databases: SQLite in a temporary file and
// a real PostgreSQL started from the machine's own binaries, both migrated,
// one database a test.
//
//	storetest.Each(t, func(t *testing.T, s *store.Store) { … })
//
// The PostgreSQL server is started once per test process, at the first use,
// and ends with the process. Without binaries the PostgreSQL half is skipped
// with a message; with SLIPWAY_REQUIRE_POSTGRES=1 the test fails instead.
//
// It may import store and pgtemp; only tests import it.
package storetest
