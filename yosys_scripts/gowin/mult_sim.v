// Simulation models of Gowin's multipliers as this flow infers them: no registers, no cascade.
// Yosys has the cells' ports only. Source of the function: DSP User Guide (UG287).

module MULT9X9 (
	input [8:0] A, SIA, B, SIB,
	input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
	output [17:0] DOUT,
	output [8:0] SOA, SOB
);
	wire signed [9:0] a = {ASIGN & A[8], A};
	wire signed [9:0] b = {BSIGN & B[8], B};
	wire signed [19:0] product = a * b;
	assign DOUT = product[17:0];
endmodule

module MULT18X18 (
	input [17:0] A, SIA, B, SIB,
	input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
	output [35:0] DOUT,
	output [17:0] SOA, SOB
);
	wire signed [18:0] a = {ASIGN & A[17], A};
	wire signed [18:0] b = {BSIGN & B[17], B};
	wire signed [37:0] product = a * b;
	assign DOUT = product[35:0];
endmodule
