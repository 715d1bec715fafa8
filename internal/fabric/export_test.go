package fabric

// ListenFor is Listen with another bound for those that connect.
var ListenFor = listen
