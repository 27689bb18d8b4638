//go:build ignore

// Command entc generates the ent code from ./schema.
package main

import (
	"log"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

func main() {
	err := entc.Generate("./schema", &gen.Config{
		Features: []gen.Feature{gen.FeatureLock, gen.FeatureModifier, gen.FeatureExecQuery, gen.FeatureUpsert},
	})
	if err != nil {
		log.Fatalf("generating ent: %v", err)
	}
}
