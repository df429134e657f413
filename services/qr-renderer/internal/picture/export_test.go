package picture

// DrawAgain makes the modules once and returns a function that draws them, for benchmarks.
func DrawAgain(text string, o Options) (func() (Picture, error), error) {
	st, bad := o.parse()
	if err := bad.Err(); err != nil {
		return nil, err
	}
	c, err := newCode(text, st.level)
	if err != nil {
		return nil, err
	}
	return func() (Picture, error) { return st.draw(c) }, nil
}
