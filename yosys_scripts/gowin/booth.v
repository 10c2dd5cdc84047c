// A $mul becomes radix-4 Booth rows, added one after the other (Booth 1951, MacSorley 1961).
//
// An ALU takes no gate in front of it, so that a row of ANDs costs twice its width a bit of the
// multiplier, and a row of a digit, none, once or twice the multiplicand, that for two bits: an ALU
// adds or subtracts. The lowest bit of the multiplier is a row of its own, so that no row in front of
// the first adder is negative.

(* techmap_celltype = "$mul" *)
module gowin_booth_mul (A, B, Y);
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

	// LUTs of rows of digits, as measured: a row and the adder that it goes into are twice the
	// multiplicand, and the digit three. The number of rows is a half of the multiplier's, and one more
	// for the top bit of an unsigned one that is odd.
	function integer luts_of_digits(input integer other, digits, input is_signed);
		luts_of_digits = other * digits + 3 * digits - 6
			+ (other - 1) * (is_signed ? (digits + 1) % 2 : 1 + digits % 2);
	endfunction
	localparam LUTS_OF_A = luts_of_digits(B_BITS, A_BITS, A_NEGATIVE);
	localparam LUTS_OF_B = luts_of_digits(A_BITS, B_BITS, B_NEGATIVE);
	localparam SWAP = LUTS_OF_A < LUTS_OF_B;
	localparam WIDE = A_BITS > B_BITS ? A_BITS : B_BITS;
	localparam NARROW = A_BITS > B_BITS ? B_BITS : A_BITS;
	// Of rows of ANDs (multipliers.v).
	localparam LUTS_OF_ROWS = 2 * WIDE * NARROW - WIDE + (A_NEGATIVE || B_NEGATIVE ? NARROW - 1 : 0);
	localparam FAILS = NARROW < 3 || (SWAP ? LUTS_OF_A : LUTS_OF_B) >= LUTS_OF_ROWS
		|| (&_TECHMAP_CONSTMSK_A_) || (&_TECHMAP_CONSTMSK_B_);
	wire _TECHMAP_FAIL_ = FAILS;

	wire [A_BITS+B_BITS-1:0] product;
	generate if (FAILS)
		assign product = 0;
	else if (SWAP)
		\$__booth_rows #(.A_WIDTH(B_BITS), .B_WIDTH(A_BITS), .A_SIGNED(B_NEGATIVE), .B_SIGNED(A_NEGATIVE))
			rows (.A(B[B_BITS-1:0]), .B(A[A_BITS-1:0]), .Y(product));
	else
		\$__booth_rows #(.A_WIDTH(A_BITS), .B_WIDTH(B_BITS), .A_SIGNED(A_NEGATIVE), .B_SIGNED(B_NEGATIVE))
			rows (.A(A[A_BITS-1:0]), .B(B[B_BITS-1:0]), .Y(product));
	endgenerate

	generate if (A_NEGATIVE || B_NEGATIVE)
		assign Y = $signed(product);
	else
		assign Y = product;
	endgenerate
endmodule

// A times B, each with a sign of its own; rows are of the digits of B, which has two bits or more.
(* techmap_celltype = "$__booth_rows" *)
module gowin_booth_rows (A, B, Y);
	parameter A_SIGNED = 0;
	parameter B_SIGNED = 0;
	parameter A_WIDTH = 1;
	parameter B_WIDTH = 2;

	(* force_downto *) input [A_WIDTH-1:0] A;
	(* force_downto *) input [B_WIDTH-1:0] B;
	(* force_downto *) output [A_WIDTH+B_WIDTH-1:0] Y;

	// Digits of three bits of B, of which the highest is negative. Above them, of an unsigned number,
	// there is one of two bits, and one of one bit where the number of bits is odd.
	localparam ODD = B_WIDTH % 2;
	localparam DIGITS = B_SIGNED ? B_WIDTH / 2 : B_WIDTH / 2 - 1;
	localparam ROWS = B_SIGNED ? DIGITS : DIGITS + 1 + ODD;
	wire [B_WIDTH:0] multiplier = {B_SIGNED && B[B_WIDTH-1], B};

	wire a_sign = A_SIGNED && A[A_WIDTH-1];
	wire signed [A_WIDTH+1:0] once = {a_sign, a_sign, A};

	// The sum so far, from the place of the row before on.
	wire signed [A_WIDTH+1:0] sums [0:ROWS];
	wire signed [A_WIDTH+1:0] lowest = once & {A_WIDTH+2{B[0]}};
	assign Y[0] = lowest[0];
	assign sums[0] = lowest;

	genvar i;
	generate for (i = 0; i < ROWS; i = i + 1) begin:rows
		localparam IS_DIGIT = i < DIGITS;
		localparam IS_BIT = i > DIGITS;
		localparam PLACE = IS_BIT ? B_WIDTH - 1 : 2*i + 1;
		localparam WIDTH = A_WIDTH + (IS_DIGIT && PLACE + 1 < B_WIDTH ? 2 : 1);
		// By how many bits it is above the row before, and below the next one.
		localparam ABOVE = i == 0 || IS_BIT ? 1 : 2;
		localparam BELOW = i + 1 == ROWS ? WIDTH : i + 1 > DIGITS ? 1 : 2;

		wire here = B[PLACE];
		wire below = i > 0 && !IS_BIT && B[PLACE-1];
		wire above = IS_DIGIT && multiplier[PLACE+1];
		wire one = here ^ below;
		wire two = above ? ~here & ~below : here & below;

		wire [WIDTH-1:0] row = (once & {WIDTH{one}}) | ((once << 1) & {WIDTH{two}});
		wire [WIDTH-1:0] before = sums[i] >>> ABOVE;
		wire [WIDTH-1:0] sum, unused_x, unused_co;
		\$alu #(
			.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(WIDTH), .B_WIDTH(WIDTH), .Y_WIDTH(WIDTH)
		) add (
			.A(before), .B(row), .CI(above), .BI(above), .X(unused_x), .Y(sum), .CO(unused_co)
		);
		assign Y[PLACE +: BELOW] = sum[BELOW-1:0];
		wire sign = (A_SIGNED || IS_DIGIT) && sum[WIDTH-1];
		assign sums[i+1] = {sign, sign, sum};
	end endgenerate
endmodule
