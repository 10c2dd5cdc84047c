// A $mul that stays out of the DSP blocks becomes rows of ANDs, summed by a tree of adders.
//
// Adders on carry chains need about half the LUTs of Yosys' own expansion (see README.md).

// Where three by three bits are smaller as logic (Gowin), Yosys expands them.
// An operand whose sign bit is a constant zero is an unsigned one; the rows are of the narrower
// operand, or of the unsigned one of two that are as wide: the product does not depend on which is A.
(* techmap_celltype = "$mul" *)
module multipliers_mul (A, B, Y);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;
	parameter Y_WIDTH = 1;
	parameter _TECHMAP_CONSTMSK_A_ = 0;
	parameter _TECHMAP_CONSTMSK_B_ = 0;
	parameter _TECHMAP_CONSTVAL_A_ = 0;
	parameter _TECHMAP_CONSTVAL_B_ = 0;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [Y_WIDTH-1:0] Y;

	localparam SIGNED = A_SIGNED && B_SIGNED;
	localparam [A_WIDTH-1:0] A_ZEROS = _TECHMAP_CONSTMSK_A_ & ~_TECHMAP_CONSTVAL_A_;
	localparam [B_WIDTH-1:0] B_ZEROS = _TECHMAP_CONSTMSK_B_ & ~_TECHMAP_CONSTVAL_B_;
	localparam A_POSITIVE = SIGNED && A_WIDTH > 1 && A_ZEROS[A_WIDTH-1];
	localparam B_POSITIVE = SIGNED && B_WIDTH > 1 && B_ZEROS[B_WIDTH-1];
	localparam A_BITS = A_WIDTH - A_POSITIVE;
	localparam B_BITS = B_WIDTH - B_POSITIVE;
	localparam A_NEGATIVE = SIGNED && !A_POSITIVE;
	localparam B_NEGATIVE = SIGNED && !B_POSITIVE;
	wire [A_BITS+B_BITS-1:0] product;
`ifdef THREE_BY_THREE_IS_LOGIC
	wire _TECHMAP_FAIL_ = !SIGNED && A_WIDTH == 3 && B_WIDTH == 3;
`endif

	// One row a bit of the narrower operand.
	generate if (A_BITS < B_BITS || (A_BITS == B_BITS && B_NEGATIVE && !A_NEGATIVE))
		\$__rows #(.A_WIDTH(B_BITS), .B_WIDTH(A_BITS), .A_SIGNED(B_NEGATIVE), .B_SIGNED(A_NEGATIVE))
			rows (.A(B[B_BITS-1:0]), .B(A[A_BITS-1:0]), .Y(product));
	else
		\$__rows #(.A_WIDTH(A_BITS), .B_WIDTH(B_BITS), .A_SIGNED(A_NEGATIVE), .B_SIGNED(B_NEGATIVE))
			rows (.A(A[A_BITS-1:0]), .B(B[B_BITS-1:0]), .Y(product));
	endgenerate

	generate if (A_NEGATIVE || B_NEGATIVE)
		assign Y = $signed(product);
	else
		assign Y = product;
	endgenerate
endmodule

// A times the low bits of B, plus A times the high bits of B: techmap expands both in turn.
// Unlike in a $mul, each operand has a sign of its own.
(* techmap_celltype = "$__rows" *)
module multipliers_rows (A, B, Y);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 1;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [A_WIDTH+B_WIDTH-1:0] Y;

	// The largest power of two below B_WIDTH, so that the tree's adders line up.
	localparam LOW = B_WIDTH <= 4 ? (B_WIDTH > 1 ? B_WIDTH - 1 : 1) : 1 << ($clog2(B_WIDTH) - 1);
	localparam HIGH = B_WIDTH - LOW;

	generate if (B_WIDTH == 1) begin
		wire [A_WIDTH-1:0] row = A & {A_WIDTH{B[0]}};
		wire [A_WIDTH:0] wide = A_SIGNED ? {row[A_WIDTH-1], row} : {1'b0, row};
		assign Y = B_SIGNED ? -wide : wide;
	end else begin
		wire [A_WIDTH+LOW-1:0] low;
		\$__rows #(.A_WIDTH(A_WIDTH), .B_WIDTH(LOW), .A_SIGNED(A_SIGNED), .B_SIGNED(0))
			low_rows (.A(A), .B(B[LOW-1:0]), .Y(low));
		// The sign bit of B weighs negatively: its row alone is subtracted, not negated.
		wire [A_WIDTH+HIGH-1:0] high;
		\$__rows #(.A_WIDTH(A_WIDTH), .B_WIDTH(HIGH), .A_SIGNED(A_SIGNED),
			.B_SIGNED(B_SIGNED && HIGH > 1)) high_rows (.A(A), .B(B[B_WIDTH-1:LOW]), .Y(high));
		wire high_sign = (A_SIGNED || (B_SIGNED && HIGH > 1)) && high[A_WIDTH+HIGH-1];
		wire signed [A_WIDTH+HIGH:0] high_term = {high_sign, high};
		wire low_sign = A_SIGNED && low[A_WIDTH+LOW-1];
		wire signed [A_WIDTH+LOW:0] low_term = {low_sign, low};
		wire signed [A_WIDTH+B_WIDTH:0] shifted = {high_term, {LOW{1'b0}}};
		if (B_SIGNED && HIGH == 1)
			assign Y = low_term - shifted;
		else
			assign Y = low_term + shifted;
	end endgenerate
endmodule
