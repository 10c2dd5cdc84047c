// Writes the results for all inputs below 2^(second argument) to the file named first.
#include <cstdio>
#include <cstdlib>

#include "Vexhaustive.h"

int main(int, char** argv) {
    std::FILE* out = std::fopen(argv[1], "wb");
    if (!out) return 1;
    Vexhaustive top;
    for (long word = 0; word < 1L << std::atoi(argv[2]); word++) {
        top.inputs = word;
        top.eval();
        std::fwrite(top.results.data(), 1, sizeof top.results, out);
    }
    return std::fclose(out) != 0;
}
