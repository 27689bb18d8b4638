package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// contract follows every address that a machine and a program are told of.
func (y *system) contract(t *testing.T) {
	g := y.dark(t, "dark-contract")
	g.boot(t)
	t.Run("boot script", g.bootScript)
	t.Run("configuration", g.configuration)
	t.Run("OpenAPI", func(t *testing.T) { y.described(t, g) })
}

// fetched gets a file and its sha256, and checks what its headers say of it.
func (y *system) fetched(t *testing.T, url string) (sum string, size int) {
	t.Helper()
	got := y.curl(t, url)
	require.Equal(t, 200, got.status, url)
	raw := sha256.Sum256([]byte(got.body))
	sum = hex.EncodeToString(raw[:])
	require.Equal(t, sum, got.header["x-checksum-sha256"], url)
	require.NotEmpty(t, got.header["etag"], url)
	part := y.curl(t, url, "-r", "10-19")
	require.Equal(t, 206, part.status, url)
	require.Equal(t, got.body[10:20], part.body, url)
	require.Equal(t, 304, y.curl(t, url, "-H", "If-None-Match: "+got.header["etag"]).status, url)
	return sum, len(got.body)
}

func (g *guest) bootScript(t *testing.T) {
	sums := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# sha256 (\S+) ([0-9a-f]{64})$`).FindAllStringSubmatch(g.script, -1) {
		sums[m[1]] = m[2]
	}
	require.Len(t, sums, 2)
	base := regexp.MustCompile(`(?m)^set base (\S+)$`).FindStringSubmatch(g.script)[1]
	require.Equal(t, g.base, base)
	images := regexp.MustCompile(`\$\{base\}(/boot/images/(\S+))`).FindAllStringSubmatch(g.script, -1)
	require.Len(t, images, 2)
	for _, m := range images {
		sum, _ := g.fetched(t, base+m[1])
		require.Equal(t, sums[m[2]], sum, m[2])
	}
	require.Contains(t, g.script, "slipway.ip="+g.ip+" ")
	require.Contains(t, g.script, "slipway.url="+base+" ")
	sum, _ := g.fetched(t, base+"/boot/scripts/foundation-init.sh")
	require.NotEmpty(t, sum)
}

func (g *guest) configuration(t *testing.T) {
	got := g.curl(t, "/boot/server/"+g.ip, bearer(g.token)...)
	require.Equal(t, 200, got.status, got.body)
	var doc struct {
		Node struct {
			NodeName string `json:"node_name"`
			MgmtIP   string `json:"mgmt_ip"`
		} `json:"node_config"`
		Artifacts []struct {
			Name, URL, SHA256 string
			Size              int
		}
		Installer struct{ Artifact string }
		Scripts   map[string]struct{ URL, SHA256 string }
		Report    struct{ URL, Token string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &doc))
	require.Equal(t, g.name+" "+g.ip, doc.Node.NodeName+" "+doc.Node.MgmtIP)
	require.Len(t, doc.Artifacts, 3)
	require.Equal(t, doc.Installer.Artifact, doc.Artifacts[0].Name)
	for _, a := range doc.Artifacts {
		sum, size := g.fetched(t, a.URL)
		require.Equal(t, a.SHA256, sum, a.Name)
		require.Equal(t, a.Size, size, a.Name)
	}
	for _, name := range []string{"foundation-init.sh", "network-config.sh", "post-install.sh", "report.sh"} {
		require.Contains(t, doc.Scripts, name)
	}
	for name, s := range doc.Scripts {
		sum, _ := g.fetched(t, s.URL)
		require.Equal(t, s.SHA256, sum, name)
	}
	require.Equal(t, g.token, doc.Report.Token)
	report := g.curl(t, doc.Report.URL, args(bearer(doc.Report.Token), jsonType, []string{"-d", "{}"})...)
	mustRefuse(t, report, 422, "required")
	for _, m := range regexp.MustCompile(`https?://[^"\s]+`).FindAllString(got.body, -1) {
		require.True(t, strings.HasPrefix(m, g.base+"/"), m)
	}
	shell := g.curl(t, "/boot/server/"+g.ip+"?format=sh", bearer(g.token)...)
	require.Contains(t, shell.body, fmt.Sprintf("CFG_ARTIFACTS_1_SHA256='%s'\n", doc.Artifacts[0].SHA256))
	require.Contains(t, shell.body, "CFG_ARTIFACTS_COUNT=3\n")
}

// described calls everything that the OpenAPI document describes.
func (y *system) described(t *testing.T, g *guest) {
	got := y.as(t, "/api/openapi.json")
	require.Equal(t, 200, got.status)
	var doc struct {
		Paths map[string]map[string]struct{ Responses map[string]any }
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &doc))
	require.Greater(t, len(doc.Paths), 15)
	locator := g.userData[strings.LastIndex(g.userData, "/")+1:]
	values := strings.NewReplacer("{node_id}", text(g.nodeID), "{id}", text(g.nodeID), "{server_ip}", g.ip, "{locator}", locator, "{provider}", "ibm_vpc",
		"/deployments/{id}", "/deployments/"+text(g.deploymentID))
	admin := must(t, append([]string{"token", "create", "chief", "--role=admin"}, y.data...)...)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			url := values.Replace(path)
			switch {
			case strings.HasPrefix(path, "/boot/images/"):
				url = strings.Replace(url, "{name}", "vmlinuz", 1)
			case strings.HasPrefix(path, "/boot/scripts/"):
				url = strings.Replace(url, "{name}", "report.sh", 1)
			case strings.HasPrefix(path, "/boot/programs/"):
				url = strings.Replace(url, "{name}", "ipxe.efi", 1)
			case strings.HasPrefix(path, "/api/artifacts/"):
				url = strings.Replace(url, "{name}", "described.img", 1)
			case path == "/api/status/history":
				url += "?server_ip=" + g.ip
			}
			require.NotContains(t, url, "{", "no value for %s", path)
			token := y.token
			if strings.HasPrefix(path, "/boot/server/") || path == "/boot/downloads" {
				token = g.token
			}
			more := []string{"-X", strings.ToUpper(method), "-H", "Accept: application/json"}
			body := "{}"
			switch path {
			case "/api/deployments/{id}/cancel":
				body = `{"mode":"none of them"}` // it is still needed
			case "/api/resources/drift/remove", "/api/nodes/adopt", "/api/artifacts/{name}":
				token = admin
			}
			if method == "post" {
				more = append(more, "-H", "Content-Type: application/json", "-d", body)
			}
			answer := y.curl(t, url, args(bearer(token), more)...)
			if answer.status == 404 && (strings.HasPrefix(path, "/api/script/runs/") || strings.HasPrefix(path, "/api/artifacts/") || strings.HasPrefix(path, "/api/config/clusters/")) {
				require.Contains(t, answer.body, `"code":"not_found"`, "%s %s: there is no such run, artifact or cluster, and it is the endpoint that says so", method, url)
				answer.status = 0
			}
			require.NotContains(t, []int{401, 403, 404, 405, 415}, answer.status, "%s %s: %s", method, url, answer.body)
			if answer.status == 0 {
				require.Contains(t, op.Responses, "404", "%s %s answers what is not described", method, path)
				continue
			}
			require.Contains(t, op.Responses, text(answer.status), "%s %s answers what is not described", method, path)
		}
	}
}
