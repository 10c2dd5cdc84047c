// Writes the products of all pairs of bytes to the file named on the command line.
#include <cstdio>

#include "Vexhaustive.h"

int main(int, char** argv) {
    std::FILE* out = std::fopen(argv[1], "wb");
    if (!out) return 1;
    Vexhaustive top;
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            top.a = a;
            top.b = b;
            top.eval();
            std::fwrite(top.products.data(), 1, sizeof top.products, out);
        }
    return std::fclose(out) != 0;
}
