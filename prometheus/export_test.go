package prometheus

// Name is for the test of the page that has all names.
var Name = name
