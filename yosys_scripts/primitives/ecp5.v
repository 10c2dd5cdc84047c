// The register cell of the open tools, for those that do not know it: Diamond, and simulators. Yosys
// does, and would stop at a second definition.
module TRELLIS_FF #(
  parameter CEMUX = "CE",
  parameter CLKMUX = "CLK",
  parameter GSR = "DISABLED",
  parameter LSRMUX = "LSR",
  parameter REGSET = "RESET",
  parameter SRMODE = "LSR_OVER_CE"
) (
  input CE,
  input CLK,
  input DI,
  input LSR,
  output reg Q
);
  localparam SET = REGSET == "SET";
  initial Q = SET;
  always @(posedge CLK)
    if (LSR && (SRMODE == "LSR_OVER_CE" || CE)) Q <= SET;
    else if (CE) Q <= DI;
endmodule
