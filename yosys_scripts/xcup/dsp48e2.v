// What mul27x18.v calls a DSP48E1, with what was packed into it, is a DSP48E2. A port that a cell has
// and this does not leaves the cell as it is: here are those of a cascade too.
module DSP48E1 (
	input [29:0] A, ACIN,
	input [17:0] B, BCIN,
	input [47:0] C, PCIN,
	input [24:0] D,
	input [4:0] INMODE,
	input [6:0] OPMODE,
	input [3:0] ALUMODE,
	input [2:0] CARRYINSEL,
	input CARRYIN, CLK, CEA1, CEA2, CEB1, CEB2, CEC, CED, CEAD, CEM, CEP,
	input RSTA, RSTB, RSTC, RSTD, RSTM, RSTP,
	output [47:0] P, PCOUT,
	output [29:0] ACOUT,
	output [17:0] BCOUT
);
	parameter ACASCREG = 1;
	parameter ADREG = 1;
	parameter ALUMODEREG = 1;
	parameter AREG = 1;
	parameter A_INPUT = "DIRECT";
	parameter BCASCREG = 1;
	parameter BREG = 1;
	parameter B_INPUT = "DIRECT";
	parameter CARRYINREG = 1;
	parameter CARRYINSELREG = 1;
	parameter CREG = 1;
	parameter DREG = 1;
	parameter INMODEREG = 1;
	parameter MREG = 1;
	parameter OPMODEREG = 1;
	parameter PREG = 1;
	parameter USE_DPORT = "FALSE";
	parameter USE_MULT = "MULTIPLY";
	parameter USE_SIMD = "ONE48";

	DSP48E2 #(
		.ACASCREG(ACASCREG), .ADREG(ADREG), .ALUMODEREG(ALUMODEREG), .AREG(AREG),
		.BCASCREG(BCASCREG), .BREG(BREG), .CARRYINREG(CARRYINREG), .CARRYINSELREG(CARRYINSELREG),
		.CREG(CREG), .DREG(DREG), .INMODEREG(INMODEREG), .MREG(MREG), .OPMODEREG(OPMODEREG),
		.PREG(PREG), .A_INPUT(A_INPUT), .B_INPUT(B_INPUT), .USE_MULT(USE_MULT), .USE_SIMD(USE_SIMD),
		.AMULTSEL(USE_DPORT == "TRUE" ? "AD" : "A"), .BMULTSEL("B"), .PREADDINSEL("A")
	) _TECHMAP_REPLACE_ (
		.A(A), .ACIN(ACIN), .B(B), .BCIN(BCIN), .C(C), .PCIN(PCIN), .D({{2{D[24]}}, D}),
		.INMODE(INMODE), .OPMODE({2'b00, OPMODE}), .ALUMODE(ALUMODE), .CARRYINSEL(CARRYINSEL),
		.CARRYIN(CARRYIN), .CLK(CLK), .CEA1(CEA1), .CEA2(CEA2), .CEB1(CEB1), .CEB2(CEB2), .CEC(CEC),
		.CED(CED), .CEAD(CEAD), .CEM(CEM), .CEP(CEP), .RSTA(RSTA), .RSTB(RSTB), .RSTC(RSTC),
		.RSTD(RSTD), .RSTM(RSTM), .RSTP(RSTP), .P(P), .PCOUT(PCOUT), .ACOUT(ACOUT), .BCOUT(BCOUT)
	);
endmodule
