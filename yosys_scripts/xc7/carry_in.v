// An adder whose lowest bits are a constant one and a signal, and whose lowest sum bit nobody
// reads, adds that signal as its carry-in: the carry of bit 0 is the signal. A CARRY4 takes a
// carry-in from a signal without a LUT.

(* techmap_celltype = "$alu" *)
module xc7_carry_in (A, B, CI, BI, X, Y, CO);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;
	parameter Y_WIDTH = 1;
	parameter _TECHMAP_CONSTMSK_A_ = 0;
	parameter _TECHMAP_CONSTVAL_A_ = 0;
	parameter _TECHMAP_CONSTMSK_CI_ = 0;
	parameter _TECHMAP_CONSTVAL_CI_ = 0;
	parameter _TECHMAP_CONSTMSK_BI_ = 0;
	parameter _TECHMAP_CONSTVAL_BI_ = 0;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [Y_WIDTH-1:0] X, Y;
	input CI, BI;
	(* force_downto *) output [Y_WIDTH-1:0] CO;

	localparam FAIL = A_WIDTH < 2 || B_WIDTH < 2 || Y_WIDTH < 2
		|| !(_TECHMAP_CONSTMSK_A_ & _TECHMAP_CONSTVAL_A_ & 1)
		|| !_TECHMAP_CONSTMSK_CI_ || _TECHMAP_CONSTVAL_CI_
		|| !_TECHMAP_CONSTMSK_BI_ || _TECHMAP_CONSTVAL_BI_;
	wire _TECHMAP_FAIL_ = FAIL;

	generate if (!FAIL) begin
		\$alu #(
			.A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
			.A_WIDTH(A_WIDTH - 1), .B_WIDTH(B_WIDTH - 1), .Y_WIDTH(Y_WIDTH - 1)
		) rest (
			.A(A[A_WIDTH-1:1]), .B(B[B_WIDTH-1:1]), .CI(B[0]), .BI(1'b0),
			.X(X[Y_WIDTH-1:1]), .Y(Y[Y_WIDTH-1:1]), .CO(CO[Y_WIDTH-1:1])
		);
		assign X[0] = ~B[0];
		assign Y[0] = ~B[0];
		assign CO[0] = B[0];
	end endgenerate
endmodule
