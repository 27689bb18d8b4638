package frontend

import (
	"embed"
	"io/fs"
)

// The directory is embedded whole: "all:" keeps the marker file that lets the
// package compile before the app has been built.
//
//go:embed all:dist
var dist embed.FS

// FS returns the built app with index.html at its root and everything that
// index.html refers to below assets/. Names below assets/ carry a content hash
// and may be cached for ever; index.html may not.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		// Only an invalid path makes Sub fail, and this one is constant.
		panic("frontend: " + err.Error())
	}
	return sub
}

// Built says whether the app was built before this binary was compiled. When
// it is false, FS holds no index.html and the server should say how to build
// the app instead of answering with a bare 404.
func Built() bool {
	info, err := fs.Stat(dist, "dist/index.html")
	return err == nil && info.Mode().IsRegular()
}
