// Drives rows of words into a design of units side by side and compares what comes out.
//
// Standard input: segments, each three 64-bit numbers and rows: how many rows, and from and up to
// which of the first of them are driven once before, unchecked, and ended by a reset. A row is a
// cycle: words of inputs, words of expected results, words with a bit for each result bit that
// counts. Standard output: "bad UNIT SEGMENT ROW WORDS…" for the
// first wrong rows of each unit, and for each unit at the end "unit UNIT MISMATCHES".
// Arguments: for each unit where its words of results begin, and their number at last; then a
// file for the waveform, or "-".
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "Vbench.h"
#include "verilated.h"
#if HWGEN_FST
#include "verilated_fst_c.h"
using Wave = VerilatedFstC;
#elif HWGEN_VCD
#include "verilated_vcd_c.h"
using Wave = VerilatedVcdC;
#elif HWGEN_SAIF
#include "verilated_saif_c.h"
using Wave = VerilatedSaifC;
#endif
#define HWGEN_WAVE (HWGEN_FST || HWGEN_VCD || HWGEN_SAIF)

constexpr int SHOWN = 20;

#if HWGEN_WAVE
// Instead of the runtime's own (VL_USER_FATAL), which flushes files that cannot be written.
void vl_fatal(const char*, int, const char*, const char* message) {
    std::fprintf(stderr, "%s\n", message);
    std::fflush(stderr);
    std::_Exit(1);
}
#endif

int main(int argc, char** argv) {
    VerilatedContext context;
    Vbench top{&context};
    constexpr std::size_t in_words = sizeof(top.inputs) / 4, out_words = sizeof(top.results) / 4;
    std::vector<std::size_t> starts;
    for (int i = 1; i < argc - 1; i++) starts.push_back(std::strtoul(argv[i], nullptr, 10));
    const std::size_t units = starts.size() - 1;
    std::vector<std::uint64_t> wrong(units, 0);

#if HWGEN_WAVE
    Wave wave;
    context.traceEverOn(true);
    top.trace(&wave, 99);
    wave.open(argv[argc - 1]);
#endif
    // Inputs settle while the clock is low, registers take them when it rises.
    auto cycle = [&] {
        for (int clock = 0; clock < 2; clock++) {
            top.clk = clock;
            top.eval();
            context.timeInc(1);
#if HWGEN_WAVE
            wave.dump(context.time());
#endif
        }
    };

    // The rows before a reset are among those of the first block.
    constexpr std::size_t row_words = in_words + 2 * out_words, block = 1024;
    std::vector<std::uint32_t> rows(row_words * block);
    std::uint64_t head[3], segment = 0;
    for (; std::fread(head, sizeof head, 1, stdin) == 1; segment++) {
        const std::uint64_t count = head[0];
        for (std::uint64_t row = 0; row < count;) {
            const std::size_t wanted = count - row < block ? count - row : block;
            if (std::fread(rows.data(), 4 * row_words, wanted, stdin) != wanted) return 3;
            if (row == 0) {
                for (std::uint64_t i = head[1]; i < head[2]; i++) {
                    std::memcpy(top.inputs.data(), &rows[i * row_words], sizeof top.inputs);
                    cycle();
                }
                top.rst = 1;  // While the last input is still there.
                cycle();
                top.rst = 0;
            }
            for (std::size_t i = 0; i < wanted; i++, row++) {
                const std::uint32_t* in = &rows[i * row_words];
                const std::uint32_t *expected = in + in_words, *counts = expected + out_words;
                std::memcpy(top.inputs.data(), in, sizeof top.inputs);
                cycle();
                const auto* got = reinterpret_cast<const std::uint32_t*>(top.results.data());
                std::uint32_t differs = 0;
                for (std::size_t w = 0; w < out_words; w++)
                    differs |= (got[w] ^ expected[w]) & counts[w];
                if (!differs) continue;
                for (std::size_t u = 0; u < units; u++) {
                    bool bad = false;
                    for (std::size_t w = starts[u]; w < starts[u + 1]; w++)
                        bad |= ((got[w] ^ expected[w]) & counts[w]) != 0;
                    if (!bad || wrong[u]++ >= SHOWN) continue;
                    std::printf("bad %zu %llu %llu", u, (unsigned long long)segment,
                                (unsigned long long)row);
                    for (std::size_t w = starts[u]; w < starts[u + 1]; w++)
                        std::printf(" %x", got[w]);
                    std::printf("\n");
                }
            }
        }
    }
    for (std::size_t u = 0; u < units; u++)
        std::printf("unit %zu %llu\n", u, (unsigned long long)wrong[u]);
#if HWGEN_WAVE
    wave.close();
#endif
    top.final();
    return std::fflush(stdout) != 0;
}
