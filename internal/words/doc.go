// Package words puts what somebody wrote into the sentences of errors: quoted, cut
// to a length that people read, and with a hint at what was meant.
//
//	known := []string{"one_for_one", "one_for_all"}
//	fmt.Errorf("expected %s, got %s%s", words.Either(known), words.Quote(got), words.DidYouMean(got, known))
//	// expected one_for_one or one_for_all, got "one-for-al"; did you mean "one_for_all"?
//
// An error may quote a text of any length, list any number of words and stand any number of
// levels deep: each function here bounds what comes of that, so that no caller has to.
package words
