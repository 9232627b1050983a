package gateway

// ShortFrames makes frames at most so long, so that little is in parts already.
func (c *Config) ShortFrames(bytes int) { c.maxFrame = bytes }
