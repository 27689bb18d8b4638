// Package bmcsim simulates a board management controller: as much of Redfish
// (DMTF DSP0266) as it takes to log in, find a machine, read its interfaces, set
// a one-time boot and change its power. Power takes time, on a clock that the
// caller gives; and it can misbehave as controllers do.
//
// It is for tests and demonstrations, and imports the standard library only.
package bmcsim
