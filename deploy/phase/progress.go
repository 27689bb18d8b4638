package phase

// Progress is how far a deployment is, 0 to 1: the weights of the phases that
// are done (skipped ones count as done) plus the open phase's share.
// share is the open phase's own progress, 0 to 1; a cleanup is measured by itself alone. weights replaces the
// table's weights where a profile's typical durations are known; nil = table.
func Progress(f Facts, share float64, weights map[Key]float64) float64 {
	switch f.State {
	case Succeeded, CleanedUp:
		return 1
	case CleaningUp:
		return min(max(share, 0), 1)
	}
	weight := func(k Key) float64 {
		if w, ok := weights[k]; ok {
			return w
		}
		return definitions[k].Weight
	}
	var done, total float64
	at := index(f.Provider, f.Open)
	for i, k := range sequences[f.Provider] {
		w := weight(k)
		total += w
		switch {
		case i < at:
			done += w
		case i == at:
			done += w * min(max(share, 0), 1)
		}
	}
	if total == 0 {
		return 0
	}
	return done / total
}
