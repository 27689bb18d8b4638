package client

//go:generate go tool github.com/Khan/genqlient
