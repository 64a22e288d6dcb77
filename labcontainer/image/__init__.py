"""Images: a store that other tools read, layers made and unpacked, and starter images from the host's own files."""
