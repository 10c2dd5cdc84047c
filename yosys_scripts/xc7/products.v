// A $mul becomes radix-4 Booth rows, added one after the other.
//
// A digit of two bits of B, −2 to 1 and one more if the bits below are a high half, picks a
// multiple of A: three bits of B and two of A, five inputs, and the sixth of the LUT adds the sum
// so far on the carry chain. The inversion of a negative multiple is completed by the carry-in.
// An 8×8 product is 4 rows of 10 LUTs. (Booth 1951, MacSorley 1961.)

(* techmap_celltype = "$mul" *)
module xc7_booth_mul (A, B, Y);
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
	// The digits are of the narrower operand, or of the one that can be negative of two that are as
	// wide: the product does not depend on which is A.
	localparam [A_WIDTH-1:0] A_ZEROS = _TECHMAP_CONSTMSK_A_ & ~_TECHMAP_CONSTVAL_A_;
	localparam [B_WIDTH-1:0] B_ZEROS = _TECHMAP_CONSTMSK_B_ & ~_TECHMAP_CONSTVAL_B_;
	localparam SWAP = A_WIDTH < B_WIDTH
		|| (A_WIDTH == B_WIDTH && B_ZEROS[B_WIDTH-1] && !A_ZEROS[A_WIDTH-1]);
	localparam WIDE = SWAP ? B_WIDTH : A_WIDTH;
	localparam NARROW = SWAP ? A_WIDTH : B_WIDTH;
	localparam DIGITS = SIGNED ? (NARROW + 1) / 2 : NARROW / 2 + 1;
	// A multiple of a signed number of W bits has W + 2.
	localparam ROW = (SIGNED ? WIDE : WIDE + 1) + 2;

	// Few rows are smaller without digits, and a constant's rows where it has a one.
	wire _TECHMAP_FAIL_ = NARROW < (SIGNED ? 2 : 3) || (NARROW == 3 && !SIGNED && WIDE > 4) || (NARROW == 4 && !SIGNED && WIDE > 5)
		|| &_TECHMAP_CONSTMSK_A_ || &_TECHMAP_CONSTMSK_B_;

	generate if (WIDE == 3 && !SIGNED) begin
		wire [5:0] product;
		\$__xc7_three_by_three by_table (.A(A), .B(B), .Y(product));
		assign Y = product;
	end else if (WIDE == 4 && !SIGNED) begin
		wire [7:0] product;
		\$__xc7_four_by_four by_columns (
			.A(SWAP ? B : A), .B(SWAP ? A : B), .Y(product));
		assign Y = product;
	end else if (NARROW == 4 && !SIGNED) begin
		// Four rows of ANDs: the first two are one chain, each other one a chain.
		wire [WIDE-1:0] wide = SWAP ? B : A;
		wire [3:0] narrow = SWAP ? A : B;
		wire [WIDE-1:0] row0 = wide & {WIDE{narrow[0]}};
		wire [WIDE:0] sum1, sum2, sum3;
		\$__xc7_add #(.WIDTH(WIDE)) add1 (.A(wide & {WIDE{narrow[1]}}), .B(row0 >> 1), .Y(sum1));
		\$__xc7_add #(.WIDTH(WIDE)) add2 (.A(sum1[WIDE:1]), .B(wide & {WIDE{narrow[2]}}), .Y(sum2));
		\$__xc7_add #(.WIDTH(WIDE)) add3 (.A(sum2[WIDE:1]), .B(wide & {WIDE{narrow[3]}}), .Y(sum3));
		assign Y = {sum3, sum2[0], sum1[0], row0[0]};
	end else begin
	wire signed [ROW-1:0] multiplicand = SIGNED
		? (SWAP ? $signed(B) : $signed(A)) : (SWAP ? $signed({1'b0, B}) : $signed({1'b0, A}));
	wire [2*DIGITS:0] multiplier = {SIGNED
		? (SWAP ? $signed(A) : $signed(B)) : (SWAP ? $signed({1'b0, A}) : $signed({1'b0, B})), 1'b0};

	wire signed [ROW-1:0] sums [0:DIGITS];
	wire [2*DIGITS-1:0] low;
	assign sums[0] = 0;

	genvar i;
	for (i = 0; i < DIGITS; i = i + 1) begin:rows
		wire high = multiplier[2*i+2], middle = multiplier[2*i+1], below = multiplier[2*i];
		wire one = middle ^ below;
		wire two = high ? ~middle & ~below : middle & below;
		wire [ROW-1:0] row = ((multiplicand & {ROW{one}}) | ((multiplicand << 1) & {ROW{two}}))
			^ {ROW{high}};
		wire signed [ROW-1:0] sum;
		wire [ROW-1:0] unused_x, unused_co;
		// The sum so far is A: it goes into the chain beside the LUT.
		\$alu #(
			.A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(ROW), .B_WIDTH(ROW), .Y_WIDTH(ROW)
		) add (
			.A(sums[i]), .B(row), .CI(high), .BI(1'b0), .X(unused_x), .Y(sum), .CO(unused_co)
		);
		assign low[2*i +: 2] = sum[1:0];
		assign sums[i+1] = sum >>> 2;
	end

	wire signed [ROW-2+2*DIGITS-1:0] product = {sums[DIGITS][ROW-3:0], low};
	assign Y = product;
	end endgenerate
endmodule

// Two unsigned numbers of three bits: each bit is a function of six.
(* techmap_celltype = "$__xc7_three_by_three" *)
module xc7_three_by_three (A, B, Y);
	(* force_downto *) input [2:0] A, B;
	(* force_downto *) output [5:0] Y;

	function [63:0] column_of_product(input integer column);
		integer row;
		for (row = 0; row < 64; row = row + 1)
			column_of_product[row] = (row % 8) * (row / 8) >> column;
	endfunction

	assign Y[0] = A[0] & B[0];
	assign Y[1] = (A[1] & B[0]) ^ (A[0] & B[1]);
	genvar i;
	generate for (i = 2; i < 6; i = i + 1) begin:columns
		LUT6 #(.INIT(column_of_product(i))) lut (
			.I0(A[0]), .I1(A[1]), .I2(A[2]), .I3(B[0]), .I4(B[1]), .I5(B[2]), .O(Y[i]));
	end endgenerate
endmodule

// Two unsigned numbers of four bits: 11 LUTs and two CARRY4, as of arXiv 2510.21533.
//
// The product is low + 4·high, A times two bits of B each. Bits of either are functions of six
// inputs. The lower three of high are of five, and go into the LUTs of the chain beside those of
// low. The top bit of low is one where it is 3·A with A above ten: bit 3 of A is one, bit 4 of 3·A
// is not. The two lowest bits of low have four inputs, and one LUT6_2.
(* techmap_celltype = "$__xc7_four_by_four" *)
module xc7_four_by_four (A, B, Y);
	(* force_downto *) input [3:0] A, B;
	(* force_downto *) output [7:0] Y;

	// A column of a number of four bits, I0 to I3, times one of two, I4 and I5.
	function [63:0] column_of_product(input integer column);
		integer row;
		for (row = 0; row < 64; row = row + 1)
			column_of_product[row] = (row % 16) * (row / 16) >> column;
	endfunction

	// A column of a number of three bits, I0 to I2, times one of two, I3 and I4, and I5 added.
	function [63:0] column_of_sum(input integer column);
		integer row;
		for (row = 0; row < 64; row = row + 1)
			column_of_sum[row] = ((row % 8) * (row / 8 % 4) >> column) + row / 32;
	endfunction

	wire [5:0] low, high;
	wire [5:0] propagate, sum;
	wire [3:0] carry;
	assign low[0] = A[0] & B[0];
	assign low[1] = (A[1] & B[0]) ^ (A[0] & B[1]);

	genvar i;
	generate
		for (i = 2; i < 5; i = i + 1) begin:low_bits
			LUT6 #(.INIT(column_of_product(i))) lut (
				.I0(A[0]), .I1(A[1]), .I2(A[2]), .I3(A[3]), .I4(B[0]), .I5(B[1]), .O(low[i]));
			LUT6 #(.INIT(column_of_sum(i - 2))) slot (
				.I0(A[0]), .I1(A[1]), .I2(A[2]), .I3(B[2]), .I4(B[3]), .I5(low[i]),
				.O(propagate[i-2]));
		end
		for (i = 3; i < 6; i = i + 1) begin:high_bits
			LUT6 #(.INIT(column_of_product(i))) lut (
				.I0(A[0]), .I1(A[1]), .I2(A[2]), .I3(A[3]), .I4(B[2]), .I5(B[3]), .O(high[i]));
		end
	endgenerate
	assign propagate[3] = high[3] ^ (B[0] & B[1] & A[3] & ~low[4]);
	assign propagate[5:4] = high[5:4];

	CARRY4 columns_2_to_5 (
		.CYINIT(1'b0), .CI(1'b0), .S(propagate[3:0]), .DI({high[3], low[4:2]}),
		.O(sum[3:0]), .CO(carry)
	);
	wire [3:0] upper, unused_carry;
	CARRY4 columns_6_and_7 (
		.CYINIT(1'b0), .CI(carry[3]), .S({2'b00, propagate[5:4]}), .DI(4'b0000),
		.O(upper), .CO(unused_carry)
	);
	assign sum[5:4] = upper[1:0];
	assign Y = {sum, low[1:0]};
endmodule

// A chain for adders that are too short for the general rule (small_adders.v).
(* techmap_celltype = "$__xc7_add" *)
module xc7_short_add (A, B, Y);
	parameter WIDTH = 1;
	(* force_downto *) input [WIDTH-1:0] A, B;
	(* force_downto *) output [WIDTH:0] Y;

	localparam COUNT = WIDTH / 4 + 1;
	wire [4*COUNT-1:0] propagate = A ^ B, generated = A, sum, carry;
	assign Y = sum;

	genvar i;
	generate for (i = 0; i < COUNT; i = i + 1) begin:slice
		CARRY4 carry4 (
			.CYINIT(1'b0), .CI(i == 0 ? 1'b0 : carry[(i == 0 ? 1 : 4*i)-1]),
			.S(propagate[4*i +: 4]), .DI(generated[4*i +: 4]),
			.O(sum[4*i +: 4]), .CO(carry[4*i +: 4])
		);
	end endgenerate
endmodule
