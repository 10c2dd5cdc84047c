// A $mul becomes rows of ANDs, added one after the other.
//
// The adder that a row goes into takes its AND (gated.py), and so costs a LUT a bit, as the row of the
// lowest bit does: W x N bits are W*N + N - 1 LUTs. In a tree (multipliers.v) sums meet sums, and
// only an adder of two rows takes an AND: 8 x 8 bits are 130 LUTs so, and 71 in a sequence.

(* techmap_celltype = "$mul" *)
module rows_mul (A, B, Y);
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

	// An operand whose sign bit is a constant zero is an unsigned one.
	localparam SIGNED = A_SIGNED && B_SIGNED;
	localparam [A_WIDTH-1:0] A_ZEROS = _TECHMAP_CONSTMSK_A_ & ~_TECHMAP_CONSTVAL_A_;
	localparam [B_WIDTH-1:0] B_ZEROS = _TECHMAP_CONSTMSK_B_ & ~_TECHMAP_CONSTVAL_B_;
	localparam A_POSITIVE = SIGNED && A_WIDTH > 1 && A_ZEROS[A_WIDTH-1];
	localparam B_POSITIVE = SIGNED && B_WIDTH > 1 && B_ZEROS[B_WIDTH-1];
	localparam A_BITS = A_WIDTH - A_POSITIVE;
	localparam B_BITS = B_WIDTH - B_POSITIVE;
	localparam A_NEGATIVE = SIGNED && !A_POSITIVE;
	localparam B_NEGATIVE = SIGNED && !B_POSITIVE;

	// Rows are of the narrower operand, or of the unsigned one of two that are as wide. A product of
	// four bits in all is a LUT a bit, and a constant's rows are where it has a one (multipliers.v).
	localparam SWAP = A_BITS < B_BITS || (A_BITS == B_BITS && B_NEGATIVE && !A_NEGATIVE);
	localparam WIDE = SWAP ? B_BITS : A_BITS;
	localparam NARROW = SWAP ? A_BITS : B_BITS;
	localparam WIDE_NEGATIVE = SWAP ? B_NEGATIVE : A_NEGATIVE;
	localparam NARROW_NEGATIVE = SWAP ? A_NEGATIVE : B_NEGATIVE;
	localparam FAILS = NARROW < 2 || WIDE + NARROW < 5
		|| (&_TECHMAP_CONSTMSK_A_) || (&_TECHMAP_CONSTMSK_B_);
	wire _TECHMAP_FAIL_ = FAILS;

	generate if (!FAILS) begin
		wire [WIDE-1:0] wide = SWAP ? B[B_BITS-1:0] : A[A_BITS-1:0];
		wire [NARROW-1:0] narrow = SWAP ? A[A_BITS-1:0] : B[B_BITS-1:0];
		wire signed [WIDE:0] row = {WIDE_NEGATIVE && wide[WIDE-1], wide};

		// The sum so far, from its row's place on.
		wire signed [WIDE:0] sums [0:NARROW-1];
		wire [WIDE+NARROW-1:0] product;
		assign sums[0] = row & {WIDE+1{narrow[0]}};
		genvar i;
		for (i = 0; i < NARROW; i = i + 1) begin:rows
			if (i > 0) begin
				wire sign = WIDE_NEGATIVE && sums[i-1][WIDE];
				wire [WIDE:0] before = {sign, sums[i-1][WIDE:1]};
				wire [WIDE:0] gated = row & {WIDE+1{narrow[i]}};
				// The sign bit of the multiplier weighs negatively.
				if (NARROW_NEGATIVE && i + 1 == NARROW)
					assign sums[i] = before - gated;
				else
					assign sums[i] = before + gated;
			end
			assign product[i] = sums[i][0];
		end
		assign product[WIDE+NARROW-1:NARROW] = sums[NARROW-1][WIDE:1];

		if (A_NEGATIVE || B_NEGATIVE)
			assign Y = $signed(product);
		else
			assign Y = product;
	end endgenerate
endmodule
