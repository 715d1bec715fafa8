package process

// checkOwn trusts the access lists of the user's own folders.
func checkOwn(string) error { return nil }
