// Simulation model of DSP48E2 as this flow infers it: pre-adder, multiplier, adder, their data
// registers, and cascades of A, B and P. No SIMD, no pattern detector, no carry to another block, no
// registers of control inputs: a cell that asks for one stops the simulation. Yosys has the cell's ports only.
// Source of the function: UltraScale Architecture DSP Slice User Guide (UG579).
module DSP48E2 (
	input [29:0] A, ACIN,
	input [17:0] B, BCIN,
	input [47:0] C, PCIN,
	input [26:0] D,
	input [4:0] INMODE,
	input [8:0] OPMODE,
	input [3:0] ALUMODE,
	input [2:0] CARRYINSEL,
	input CARRYIN, CARRYCASCIN, MULTSIGNIN,
	(* clkbuf_sink *) input CLK,
	input CEA1, CEA2, CEB1, CEB2, CEC, CED, CEAD, CEM, CEP,
	input CEALUMODE, CECARRYIN, CECTRL, CEINMODE,
	input RSTA, RSTB, RSTC, RSTD, RSTM, RSTP,
	input RSTALLCARRYIN, RSTALUMODE, RSTCTRL, RSTINMODE,
	output [47:0] P, PCOUT,
	output [29:0] ACOUT,
	output [17:0] BCOUT,
	output [3:0] CARRYOUT,
	output [7:0] XOROUT,
	output CARRYCASCOUT, MULTSIGNOUT, OVERFLOW, UNDERFLOW, PATTERNBDETECT, PATTERNDETECT
);
	parameter integer ACASCREG = 1;
	parameter integer ADREG = 1;
	parameter integer ALUMODEREG = 1;
	parameter AMULTSEL = "A";
	parameter integer AREG = 1;
	parameter A_INPUT = "DIRECT";
	parameter integer BCASCREG = 1;
	parameter BMULTSEL = "B";
	parameter integer BREG = 1;
	parameter B_INPUT = "DIRECT";
	parameter integer CARRYINREG = 1;
	parameter integer CARRYINSELREG = 1;
	parameter integer CREG = 1;
	parameter integer DREG = 1;
	parameter integer INMODEREG = 1;
	parameter [0:0] IS_CLK_INVERTED = 1'b0;
	parameter integer MREG = 1;
	parameter integer OPMODEREG = 1;
	parameter PREADDINSEL = "A";
	parameter integer PREG = 1;
	parameter [47:0] RND = 48'h0;
	parameter USE_MULT = "MULTIPLY";
	parameter USE_SIMD = "ONE48";

`ifndef YOSYS
	generate
		if ((A_INPUT != "DIRECT" && A_INPUT != "CASCADE") || (B_INPUT != "DIRECT" && B_INPUT != "CASCADE")
				|| ACASCREG > AREG || BCASCREG > BREG || (AREG != 0 && ACASCREG == 0)
				|| (BREG != 0 && BCASCREG == 0) || USE_SIMD != "ONE48" || USE_MULT != "MULTIPLY"
				|| PREADDINSEL != "A" || BMULTSEL != "B" || IS_CLK_INVERTED || ALUMODEREG != 0
				|| INMODEREG != 0 || OPMODEREG != 0 || CARRYINREG != 0 || CARRYINSELREG != 0)
			initial $fatal(1, "DSP48E2: this model has no such mode");
	endgenerate
`endif

	// Registers of the operands: none, one (the second), or two.
	reg signed [29:0] a1 = 0, a2 = 0;
	reg signed [17:0] b1 = 0, b2 = 0;
	reg signed [47:0] c1 = 0;
	reg signed [26:0] d1 = 0, ad1 = 0;
	reg signed [44:0] m1 = 0;
	reg signed [47:0] p1 = 0;

	wire signed [29:0] a_in = A_INPUT == "CASCADE" ? ACIN : A;
	wire signed [17:0] b_in = B_INPUT == "CASCADE" ? BCIN : B;
	wire signed [29:0] a_now = AREG == 0 ? a_in : a2;
	wire signed [17:0] b_now = BREG == 0 ? b_in : b2;
	assign ACOUT = ACASCREG < AREG ? a1 : a_now;
	assign BCOUT = BCASCREG < BREG ? b1 : b_now;
	wire signed [47:0] c_now = CREG == 0 ? C : c1;
	wire signed [26:0] d_now = DREG == 0 ? D : d1;

	wire signed [26:0] a_used = INMODE[1] ? 27'sd0 : INMODE[0] ? a1[26:0] : a_now[26:0];
	wire signed [26:0] d_used = INMODE[2] ? d_now : 27'sd0;
	wire signed [26:0] ad = INMODE[3] ? d_used - a_used : d_used + a_used;
	wire signed [26:0] ad_now = ADREG == 0 ? ad : ad1;
	wire signed [26:0] factor = AMULTSEL == "AD" ? ad_now : a_used;
	wire signed [17:0] other = INMODE[4] ? b1 : b_now;
	wire signed [44:0] product = factor * other;
	wire signed [44:0] m_now = MREG == 0 ? product : m1;

	// X and Y are the product's halves here: X the whole, Y nothing.
	wire signed [47:0] x = OPMODE[1:0] == 2'b01 ? m_now : OPMODE[1:0] == 2'b10 ? p1 : 48'sd0;
	wire signed [47:0] y = OPMODE[3:2] == 2'b11 ? c_now : OPMODE[3:2] == 2'b10 ? -48'sd1 : 48'sd0;
	wire signed [47:0] pcin = PCIN;
	wire signed [47:0] z = OPMODE[6:4] == 3'b001 ? pcin : OPMODE[6:4] == 3'b010 ? p1
		: OPMODE[6:4] == 3'b011 ? c_now : OPMODE[6:4] == 3'b101 ? pcin >>> 17 : 48'sd0;
	wire signed [47:0] w = OPMODE[8:7] == 2'b01 ? p1 : OPMODE[8:7] == 2'b10 ? RND
		: OPMODE[8:7] == 2'b11 ? c_now : 48'sd0;
	wire signed [47:0] carry = CARRYIN ? 48'sd1 : 48'sd0;
	wire signed [47:0] sum = ALUMODE == 4'b0011 ? z - (w + x + y + carry) : z + w + x + y + carry;

`ifndef YOSYS
	always @* begin
		if (OPMODE[1:0] == 2'b11 || (OPMODE[1:0] == 2'b01) != (OPMODE[3:2] == 2'b01)
				|| OPMODE[6:4] == 3'b100 || OPMODE[6:5] == 2'b11
				|| !(ALUMODE == 4'b0000 || ALUMODE == 4'b0011) || CARRYINSEL != 3'b000)
			$fatal(1, "DSP48E2: this model has no such OPMODE, ALUMODE or CARRYINSEL");
	end
`endif

	always @(posedge CLK) begin
		if (RSTA) a1 <= 0; else if (CEA1) a1 <= a_in;
		if (RSTA) a2 <= 0; else if (CEA2) a2 <= AREG == 2 ? a1 : a_in;
		if (RSTB) b1 <= 0; else if (CEB1) b1 <= b_in;
		if (RSTB) b2 <= 0; else if (CEB2) b2 <= BREG == 2 ? b1 : b_in;
		if (RSTC) c1 <= 0; else if (CEC) c1 <= C;
		if (RSTD) d1 <= 0; else if (CED) d1 <= D;
		if (RSTD) ad1 <= 0; else if (CEAD) ad1 <= ad;
		if (RSTM) m1 <= 0; else if (CEM) m1 <= product;
		if (RSTP) p1 <= 0; else if (CEP) p1 <= sum;
	end

	assign P = PREG == 0 ? sum : p1;
	assign PCOUT = P;
endmodule
