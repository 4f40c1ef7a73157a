"""Writes the .sql files as C string constants: embed.py OUT.c NAME=FILE ..."""
import sys


def literal(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
            yield '\t"%s\\n"' % text


with open(sys.argv[1], "w", encoding="utf-8") as out:
    out.write('#include "storage/schema.h"\n')
    for pair in sys.argv[2:]:
        name, path = pair.split("=", 1)
        out.write("\nconst char %s[] =\n%s;\n" % (name, "\n".join(literal(path))))
