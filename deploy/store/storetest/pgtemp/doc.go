// Package pgtemp starts a throw-away PostgreSQL from the binaries installed on
// the machine, for tests and for the generator of migrations. It needs no
// configuration and no network: the server listens on a Unix socket in its own
// temporary folder, gives up durability for speed, and is gone when the
// process that started it ends, however it ends.
//
// It may import the standard library only.
package pgtemp
