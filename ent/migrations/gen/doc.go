// Command gen writes the next versioned migration of both dialects: the
// difference between what the files in ent/migrations build and the model in
// ent/schema. Without a difference it writes nothing.
//
// It runs offline: SQLite in memory, and a throw-away PostgreSQL made from
// the installed binaries ($PGBIN or /usr/lib/postgresql/*/bin).
//
//	go generate ./ent ./ent/migrations         next migration
//	go run ./ent/migrations/gen -name add_mac  ... with a name
//	go run ./ent/migrations/gen -rewrite       before the first release only:
//	                                           replace all generated files by
//	                                           one initial migration
//	go run ./ent/migrations/gen -hash          after editing a file by hand
//
// It may import ent, its migrations, Atlas, the drivers and, for the throw-away
// PostgreSQL, deploy/store/storetest/pgtemp.
package main
