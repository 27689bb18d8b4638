//go:build deps

// Package tools keeps requirements in go.mod that no package imports yet.
package tools

import (
	_ "ariga.io/atlas/sql/migrate"
	_ "entgo.io/ent"
	_ "github.com/99designs/gqlgen/graphql/handler"
	_ "github.com/IBM/go-sdk-core/v5/core"
	_ "github.com/IBM/networking-go-sdk/dnssvcsv1"
	_ "github.com/IBM/vpc-go-sdk/vpcv1"
	_ "github.com/Khan/genqlient/graphql"
	_ "github.com/alecthomas/kong"
	_ "github.com/danielgtaylor/huma/v2"
	_ "github.com/danielgtaylor/huma/v2/adapters/humago"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/uuid"
	_ "github.com/gorilla/websocket"
	_ "github.com/insomniacslk/dhcp/dhcpv4"
	_ "github.com/insomniacslk/dhcp/dhcpv4/server4"
	_ "github.com/lib/pq"
	_ "github.com/pin/tftp/v3"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/riverqueue/river"
	_ "github.com/riverqueue/river/riverdriver/riverdatabasesql"
	_ "github.com/riverqueue/river/riverdriver/riversqlite"
	_ "github.com/riverqueue/river/rivermigrate"
	_ "github.com/riverqueue/river/rivertype"
	_ "github.com/stretchr/testify/assert"
	_ "github.com/stretchr/testify/require"
	_ "github.com/vbauerster/mpb/v8"
	_ "github.com/vektah/gqlparser/v2/gqlerror"
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/term"
	_ "golang.org/x/time/rate"
	_ "gopkg.in/yaml.v3"
	_ "modernc.org/sqlite"
	_ "pgregory.net/rapid"
)

import (
	_ "entgo.io/ent/entc"
	_ "entgo.io/ent/entc/gen"
)
