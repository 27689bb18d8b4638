// Command schemagen writes the JSON Schema of node configurations for the app,
// which validates its form by it.
//
// usage: schemagen FILE
//
// It may import deploy/hostconfig and the standard library.
package main
