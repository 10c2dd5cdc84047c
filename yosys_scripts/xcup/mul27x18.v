// A product as a DSP48E1, which Yosys' xilinx_dsp packs registers and adders into; dsp48e2.v makes
// the DSP48E2 of it. Both have the same ports but for two bits of A and D and two of OPMODE, and
// xilinx_dsp does not know the latter (Yosys 0.70). A has its 27 bits here already.
module \$__MUL27X18 (input [26:0] A, input [17:0] B, output [44:0] Y);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 0;
	parameter B_WIDTH = 0;
	parameter Y_WIDTH = 0;

	wire [47:0] product;
	assign Y = product;
	DSP48E1 #(
		.ACASCREG(0), .ADREG(0), .ALUMODEREG(0), .AREG(0), .BCASCREG(0), .BREG(0), .CARRYINREG(0),
		.CARRYINSELREG(0), .CREG(0), .DREG(0), .INMODEREG(0), .MREG(0), .OPMODEREG(0), .PREG(0),
		.A_INPUT("DIRECT"), .B_INPUT("DIRECT"), .USE_DPORT("FALSE"), .USE_MULT("MULTIPLY"),
		.USE_SIMD("ONE48")
	) _TECHMAP_REPLACE_ (
		.A({{3{A[26]}}, A}), .B(B), .C(48'b0), .D(25'b0), .P(product),
		.INMODE(5'b0), .OPMODE(7'b0000101), .ALUMODE(4'b0), .CARRYINSEL(3'b0), .CARRYIN(1'b0),
		.ACIN(30'b0), .BCIN(18'b0), .PCIN(48'b0)
	);
endmodule
