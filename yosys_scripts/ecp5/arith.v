// $alu on a CCU2C chain that needs no cell of its own to start or to end.
//
// The carry into the first CCU2C of a chain cannot be a constant: nextpnr-ecp5 spends one more
// CCU2C (two LUT4) to feed it in, and another where a carry leaves the chain. So:
// - a chain of an odd number of sum bits has a half to spare: the first half makes the carry-in
//   (its LUT4 is 0, hence its carry is its LUT2, whatever CIN is), and bit 0 uses the second;
// - a chain of an even number makes bit 0's carry in the first half the same way, and bit 0's sum
//   in a LUT outside;
// - a carry that is wanted as a signal is made again from the sum bit, in a LUT.
// The flow leaves such a CIN open for nextpnr (see worker.py). Cell: +/lattice/ccu2c_sim.vh.

(* techmap_celltype = "$alu" *)
module _75_ecp5_alu (A, B, CI, BI, X, Y, CO);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;
	parameter Y_WIDTH = 1;
	parameter _TECHMAP_CONSTMSK_CI_ = 0;
	parameter _TECHMAP_CONSTVAL_CI_ = 0;
	parameter _TECHMAP_CONSTMSK_BI_ = 0;
	parameter _TECHMAP_CONSTVAL_BI_ = 0;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [Y_WIDTH-1:0] X, Y;
	input CI, BI;
	(* force_downto *) output [Y_WIDTH-1:0] CO;

	// A carry-in or an inversion that is a signal: Yosys' own map takes it.
	wire _TECHMAP_FAIL_ = !_TECHMAP_CONSTMSK_CI_ || !_TECHMAP_CONSTMSK_BI_;

	localparam [0:0] CARRY_IN = _TECHMAP_CONSTVAL_CI_;
	localparam [0:0] INVERT_B = _TECHMAP_CONSTVAL_BI_;
	localparam SPARE = Y_WIDTH % 2;
	localparam HALVES = Y_WIDTH + SPARE;

	(* force_downto *) wire [Y_WIDTH-1:0] a, b;
	\$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
	\$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b));

	// C and D are tied high: the LUT4 reads INIT[15:12], the LUT2 INIT[3:0], both at {B, A}.
	localparam [3:0] SUM = INVERT_B ? 4'b1001 : 4'b0110;
	localparam [3:0] AND = INVERT_B ? 4'b0010 : 4'b1000;
	localparam [3:0] OR = INVERT_B ? 4'b1011 : 4'b1110;
	localparam [15:0] BIT = {SUM, 8'h00, AND};
	localparam [15:0] FIRST = SPARE ? {12'h000, {4{CARRY_IN}}} : {12'h000, CARRY_IN ? OR : AND};

	wire [HALVES-1:0] half_a, half_b, half_sum;
	wire [HALVES/2:0] carry;
	assign carry[0] = 1'b0;

	generate if (SPARE) begin
		assign half_a = {a, 1'b1};
		assign half_b = {b, 1'b1};
		assign Y = half_sum[HALVES-1:1];
	end else begin
		assign half_a = a;
		assign half_b = b;
		assign Y = {half_sum[HALVES-1:1], X[0] ^ CARRY_IN};
	end endgenerate

	genvar i;
	generate for (i = 0; i < HALVES; i = i + 2) begin:slice
		CCU2C #(
			.INIT0(i == 0 ? FIRST : BIT), .INIT1(BIT), .INJECT1_0("NO"), .INJECT1_1("NO")
		) ccu2c (
			.CIN(carry[i/2]),
			.A0(half_a[i]), .B0(half_b[i]), .C0(1'b1), .D0(1'b1),
			.A1(half_a[i+1]), .B1(half_b[i+1]), .C1(1'b1), .D1(1'b1),
			.S0(half_sum[i]), .S1(half_sum[i+1]), .COUT(carry[i/2+1])
		);
	end endgenerate

	assign X = a ^ b ^ {Y_WIDTH{INVERT_B}};
	generate for (i = 0; i < Y_WIDTH; i = i + 1) begin:carries
		assign CO[i] = X[i] ? ~Y[i] : a[i];
	end endgenerate
endmodule
