// Package quiet bounds what is logged of packets that anybody may send: whoever
// floods a server must not fill its disk as well.
//
// It may import golang.org/x/time/rate.
package quiet
