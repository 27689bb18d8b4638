// Package artifact owns the boot files and images that machines fetch: the
// catalogue (which names exist, with size and SHA-256) and their delivery over
// HTTP at /boot/images/{name}.
//
// A catalogue is a directory with an index (index.json) and a folder of
// content-addressed copies (files/<sha256>). The index is replaced atomically,
// so a reader, also one in another process, sees the old or the new one. Only
// names of the index are ever served; a request cannot name a path.
//
// The package imports the standard library only.
package artifact
