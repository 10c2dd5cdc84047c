// An ULX3S (ECP5) that checks a dot product of eight INT8 lanes against the golden model: 256 pseudorandom
// operands are summed, and led[6] is lit if the sum is the one that expected.vh has. See docs/board.md.
`include "expected.vh"

module top(input clk_25mhz, output [7:0] led, output wifi_gpio0);
  // Held high, so that the board's WiFi chip does not start another bitstream.
  assign wifi_gpio0 = 1;

  reg [3:0] starting = 0;
  wire rst = starting != 15;
  always @(posedge clk_25mhz) if (rst) starting <= starting + 1;

  // A Galois LFSR of 64 bits (x^64 + x^63 + x^61 + x^60 + 1) makes the operands.
  reg [63:0] lfsr = 64'h0123_4567_89ab_cdef;
  reg [8:0] given = 0;
  wire more = !rst && !given[8];
  always @(posedge clk_25mhz) if (more) begin
    lfsr <= {1'b0, lfsr[63:1]} ^ (lfsr[0] ? 64'hd800_0000_0000_0000 : 64'b0);
    given <= given + 1;
  end

  wire valid;
  wire signed [`WIDTH-1:0] sum;
  dot8 dot(.clk(clk_25mhz), .rst(rst), .enable(1'b1), .valid_in(more), .clear(given == 0),
    .a(lfsr), .b({lfsr[31:0], lfsr[63:32]}), .valid_out(valid), .accumulator(sum));

  reg [8:0] taken = 0;
  reg right = 0;
  always @(posedge clk_25mhz) if (valid && !taken[8]) begin
    taken <= taken + 1;
    right <= sum == `EXPECTED;
  end

  reg [24:0] blink = 0;
  always @(posedge clk_25mhz) blink <= blink + 1;
  assign led = {taken[8], taken[8] && right, 5'b0, blink[24]};
endmodule
