// Package rack is the provider rack: machines that one has already. Nothing is
// ordered and nothing is paid for; the machine boots from the network and is
// known by the MAC address of its boot interface. It is switched by a person,
// or by its board management controller over Redfish (DMTF DSP0266).
//
// What is asked of a controller is written to the journal first, as a row of
// kind power that the node holds. A boot is the observable sequence off, boot
// override, on: each part can be asked for again without harm, and each is
// believed only when the controller shows it afterwards. So a boot happens once
// for a deployment and attempt, whatever answer is lost and whoever is killed.
//
// Controllers are reached in the networks that the settings name and nowhere
// else, because their addresses come with an order. Passwords are named in an
// order and held by the server (SecretFiles).
//
// It may import deploy only, and gofish.
package rack
