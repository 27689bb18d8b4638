package graph

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// Whatever may differ from caller to caller is not shared, wherever it is
// selected.
func TestPersonal(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		directive @hasRole(role: String) on FIELD_DEFINITION
		directive @odd on FIELD | INLINE_FRAGMENT | FRAGMENT_SPREAD
		type Query { x: Int }
		type Viewer { name: String }
		type Thing { name: String secret: String @hasRole(role: "ADMIN") viewer: Viewer! viewers: [Viewer!]! other: Thing }
		type Subscription { things: Thing }`})
	for doc, want := range map[string]bool{
		`{things{name}}`:                    false,
		`{things{name other{other{name}}}}`: false,
		`{things{...F}} fragment F on Thing{other{...G}} fragment G on Thing{name}`: false,
		`{things{name @skip(if:true) ...@include(if:true){name}}}`:                  false,
		`{things{secret}}`:               true,
		`{things{other{viewer{name}}}}`:  true,
		`{things{viewers{name}}}`:        true,
		`{things{... on Thing{secret}}}`: true,
		`{things{...F}} fragment F on Thing{other{...G}} fragment G on Thing{secret}`: true,
		`{things{name @odd}}`:                          true,
		`{things{...@odd{name}}}`:                      true,
		`{things{...F@odd}} fragment F on Thing{name}`: true,
	} {
		parsed, err := gqlparser.LoadQueryWithRules(schema, "subscription S"+doc, rules.NewDefaultRules())
		require.Empty(t, err, doc)
		require.Equal(t, want, personal(onlyField(parsed.Operations[0]).SelectionSet), doc)
	}
}

func TestUses(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		input In { a: [String] }
		type Query { x: Int }
		type Thing { name(a: String, in: In): String }
		type Subscription { things(a: String): Thing }`})
	for doc, want := range map[string]int{
		`($v:String){things(a:$v){name}}`:                                                                             1,
		`($v:String){things(a:"$v"){name(a:$v)}}`:                                                                     1,
		`($v:String){things(a:$v){name(in:{a:["x",$v]})}}`:                                                            2,
		`($v:String){things(a:$v){...F ...F}} fragment F on Thing{name(a:$v)}`:                                        3,
		`($v:String,$b:Boolean=true){things(a:$v){...@skip(if:$b){name @include(if:$b)}}}`:                            1,
		`($v:Boolean=true){things{...@skip(if:$v){name @include(if:$v) ...F@skip(if:$v)}}} fragment F on Thing{name}`: 3,
	} {
		parsed, err := gqlparser.LoadQueryWithRules(schema, "subscription S"+doc, rules.NewDefaultRules())
		require.Empty(t, err, doc)
		require.Equal(t, want, uses(parsed.Operations[0], "v"), doc)
	}
}
