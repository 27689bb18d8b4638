// Package frontend holds the built monitoring app, so that one binary serves
// everything and a closed site needs nothing else. It may import only the
// standard library; the HTTP rules (base path, caching, content policy) are
// the server's.
package frontend
