// Package ent is the model of the database: the schema in ent/schema is written
// by hand, everything else here is generated from it.
package ent

//go:generate go run -mod=mod entc.go
