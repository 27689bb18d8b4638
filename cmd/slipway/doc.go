package main

// This is the only package that reads flags and the environment, and the only
// one that may import everything: it wires the house together.
