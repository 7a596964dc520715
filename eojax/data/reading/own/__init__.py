"""Images of your own: any number of bands, 8 or 16 bits or floats, with pixels without data."""
