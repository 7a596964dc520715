"""Data sets prepared for reading at scale: array_record files of windows, and an index of columns.

    FOLDER/index.json        facts, grid, how many, a SHA-256 of every file
    FOLDER/columns/*.npy     names, heights, widths, labels, groups, parts; mapped, never read whole
    FOLDER/shards/*.array_record
    FOLDER/splits/           what was split once, by rule; mapped likewise

Window number n is record `n % per_shard` of shard `n // per_shard`, so that its place in the files
need not be kept.
"""
