"""What nobody sees without the right to: masks and people, painted over in the picture itself."""
